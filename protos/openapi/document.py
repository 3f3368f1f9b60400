"""The paths of the document: one operation for each way to call a method."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2

from protos.openapi.contract import Binding, Contract, bindings
from protos.openapi.schemas import WELL_KNOWN, Field, Schema, Schemas

VARIABLE = re.compile(r"\{([a-z_.]+)\}")
DETAILS = ("ErrorInfo", "BadRequest", "RetryInfo")
LINES = "application/x-ndjson"
INTRODUCTION = """JSON over HTTP for every rpc of the gateway. Made from the contracts; do not edit.

64-bit integers are strings. Fields that have their default value are left out of answers; unknown fields of a body are
ignored, unknown query parameters refused. Streams are JSON Lines: one value a line; a stream that ends without its last
part (summary, conclusion, release, `active`) failed, and its trailers say why. An import is an array of batches.

Every error is a `google.rpc.Status` with the details that gRPC carries. Try 429 and 503 again after `Retry-After`."""


def document(contract: Contract) -> dict[str, Any]:
    """The whole document."""
    schemas = Schemas(contract)
    paths: dict[str, dict[str, Any]] = {}
    for name, service in contract.services.items():
        for method in service.method:
            for index, binding in enumerate(bindings(method)):
                operation = _Operation(contract, schemas, f"{name}.{method.name}", method, binding)
                operation_id = f"{service.name}_{method.name}" + (f"_{index + 1}" if index else "")
                made = {"tags": [service.name], "operationId": operation_id, **operation.make()}
                paths.setdefault(operation.path, {})[binding.verb] = made
    responses = {"Error": _error(schemas)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mercato", "version": "v1", "description": INTRODUCTION, "license": _license()},
        "servers": [{"url": "http://127.0.0.1:50080"}],
        "security": [{"ApiKey": []}, {"Bearer": []}, {}],
        "tags": [
            {"name": service.name, "description": contract.comments.get(name, "")}
            for name, service in contract.services.items()
        ],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas.components,
            "responses": responses,
            "parameters": _headers(),
            "securitySchemes": {
                "ApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "Bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


class _Operation:
    """One binding of one method."""

    def __init__(
        self,
        contract: Contract,
        schemas: Schemas,
        name: str,
        method: descriptor_pb2.MethodDescriptorProto,
        binding: Binding,
    ) -> None:
        self._contract = contract
        self._schemas = schemas
        self._name = name
        self._method = method
        self._binding = binding
        self._request = method.input_type.removeprefix(".")
        self._bound = VARIABLE.findall(binding.path)

    @property
    def path(self) -> str:
        """The path with variables named as JSON names them."""
        return VARIABLE.sub(lambda found: f"{{{self._field(found.group(1))[1].json_name}}}", self._binding.path)

    def make(self) -> dict[str, Any]:
        """The operation without its id."""
        comment = self._contract.comments.get(self._name, "")
        made: dict[str, Any] = {
            "summary": comment.split(". ")[0].split("\n")[0].rstrip("."),
            "description": comment,
            "parameters": [*self._path_parameters(), *self._query_parameters(), *_HEADER_REFERENCES],
        }
        if self._binding.body:
            content = {"application/json": {"schema": self._body()}}
            made["requestBody"] = {"required": True, "content": content}
        kind = LINES if self._method.server_streaming else "application/json"
        answer = {kind: {"schema": self._schemas.message(self._method.output_type.removeprefix("."))}}
        description = "One value a line." if self._method.server_streaming else "The answer."
        made["responses"] = {
            "200": {"description": description, "content": answer},
            "default": {"$ref": "#/components/responses/Error"},
        }
        return made

    def _body(self) -> Schema:
        if self._binding.body != "*":
            return self._schemas.member(self._request, self._field(self._binding.body)[1])
        if self._method.client_streaming:
            return {"type": "array", "items": self._schemas.message(self._request)}
        # What stands in the path must not stand in the body as well.
        if self._bound:
            return self._schemas.object(self._request, without=self._bound)
        return self._schemas.message(self._request)

    def _path_parameters(self) -> Iterator[Schema]:
        for variable in self._bound:
            owner, member = self._field(variable)
            yield {"name": member.json_name, "in": "path", "required": True, **self._parameter(owner, member)}

    def _query_parameters(self) -> Iterator[Schema]:
        if self._binding.body == "*":
            return
        taken = {*self._bound, self._binding.body}
        yield from self._flattened(self._request, "", "", taken)

    def _flattened(self, owner: str, path: str, shown: str, taken: set[str]) -> Iterator[Schema]:
        """Fields as parameters, those of messages within as ``filter.brands``; what repeats messages is left out."""
        for member in self._contract.messages[owner].field:
            place, name = f"{path}{member.name}", f"{shown}{member.json_name}"
            inner = member.type_name.removeprefix(".")
            leaf = member.type != Field.TYPE_MESSAGE or inner in WELL_KNOWN
            if place in taken or (not leaf and member.label == Field.LABEL_REPEATED):
                continue
            if leaf:
                yield {"name": name, "in": "query", **self._parameter(owner, member)}
            else:
                yield from self._flattened(inner, f"{place}.", f"{name}.", taken)

    def _parameter(self, owner: str, member: Field) -> Schema:
        schema = self._schemas.member(owner, member)
        description = schema.pop("description", "")
        return {"description": description, "schema": schema}

    def _field(self, path: str) -> tuple[str, Field]:
        """The field at a path such as ``product.product_id``, and the message that it belongs to."""
        owner = self._request
        *parents, last = path.split(".")
        for parent in parents:
            owner = self._named(owner, parent).type_name.removeprefix(".")
        return owner, self._named(owner, last)

    def _named(self, owner: str, name: str) -> Field:
        return next(member for member in self._contract.messages[owner].field if member.name == name)


_HEADERS = {
    "Tenant": (
        "mercato-tenant",
        "^[a-z0-9][a-z0-9_-]{0,62}$",
        "The tenant. Default: the key's, else `default`.",
    ),
    "RequestId": ("x-request-id", "^[A-Za-z0-9._:-]{1,128}$", "Your id of the request, in logs and answers."),
    "Timeout": ("grpc-timeout", "^[0-9]{1,8}[HMSmun]$", "Your deadline. `800m` are 800 milliseconds, `2S` 2 seconds."),
}


def _headers() -> dict[str, Schema]:
    return {
        key: {"name": name, "in": "header", "description": text, "schema": {"type": "string", "pattern": pattern}}
        for key, (name, pattern, text) in _HEADERS.items()
    }


_HEADER_REFERENCES = [{"$ref": f"#/components/parameters/{name}"} for name in _headers()]


def _error(schemas: Schemas) -> Schema:
    details = []
    for name in DETAILS:
        detail = schemas.object(f"google.rpc.{name}")
        kind = {"type": "string", "const": f"type.googleapis.com/google.rpc.{name}"}
        detail["properties"] = {"@type": kind, **detail["properties"]}
        details.append({**detail, "title": name, "required": ["@type"]})
    properties = {
        "code": {"type": "integer", "format": "int32", "description": "The code of gRPC."},
        "message": {"type": "string", "description": "For people."},
        "details": {"type": "array", "items": {"oneOf": details}},
    }
    status = {"type": "object", "properties": properties, "required": ["code", "message"]}
    return {
        "description": "Why not. Reasons are those of `mercato.errors.v1.ErrorReason`.",
        "headers": {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
        "content": {"application/json": {"schema": status}},
    }


def _license() -> Schema:
    return {"name": "Apache-2.0", "identifier": "Apache-2.0"}
