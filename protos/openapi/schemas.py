"""JSON schemas of messages, as protobuf's JSON form has them, with the rules of ``buf.validate``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from buf.validate import validate_pb2
from google.protobuf import descriptor_pb2

from protos.openapi.contract import Contract

Schema = dict[str, Any]
Field = descriptor_pb2.FieldDescriptorProto
WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$", "example": "1.5s"},
    "google.protobuf.FieldMask": {"type": "string", "example": "title,price"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "required": ["@type"],
    },
}
SIGNED, UNSIGNED = r"^-?\d+$", r"^\d+$"
SCALARS: dict[int, Schema] = {
    Field.TYPE_DOUBLE: {"type": "number", "format": "double"},
    Field.TYPE_FLOAT: {"type": "number", "format": "float"},
    # 64 bits do not fit in a number of JavaScript, so that JSON has them as text.
    Field.TYPE_INT64: {"type": "string", "format": "int64", "pattern": SIGNED},
    Field.TYPE_SINT64: {"type": "string", "format": "int64", "pattern": SIGNED},
    Field.TYPE_SFIXED64: {"type": "string", "format": "int64", "pattern": SIGNED},
    Field.TYPE_UINT64: {"type": "string", "format": "uint64", "pattern": UNSIGNED},
    Field.TYPE_FIXED64: {"type": "string", "format": "uint64", "pattern": UNSIGNED},
    Field.TYPE_INT32: {"type": "integer", "format": "int32"},
    Field.TYPE_SINT32: {"type": "integer", "format": "int32"},
    Field.TYPE_SFIXED32: {"type": "integer", "format": "int32"},
    Field.TYPE_UINT32: {"type": "integer", "format": "uint32", "minimum": 0},
    Field.TYPE_FIXED32: {"type": "integer", "format": "uint32", "minimum": 0},
    Field.TYPE_BOOL: {"type": "boolean"},
    Field.TYPE_STRING: {"type": "string"},
    Field.TYPE_BYTES: {"type": "string", "format": "byte"},
}
LIMITS = {"gte": "minimum", "lte": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}


class Schemas:
    """Makes schemas and collects the components that they refer to."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._made: dict[str, Schema] = {}

    @property
    def components(self) -> dict[str, Schema]:
        """Everything referred to so far, by name."""
        return dict(sorted(self._made.items()))

    def message(self, name: str) -> Schema:
        """A reference to a message, or what stands for a well-known one."""
        if name in WELL_KNOWN:
            return dict(WELL_KNOWN[name])
        return self._reference(name, lambda: self.object(name))

    def object(self, name: str, without: Collection[str] = ()) -> Schema:
        """A message in place, without the fields named."""
        message = self._contract.messages[name]
        fields = [member for member in message.field if member.name not in without]
        schema: Schema = {"type": "object"}
        if comment := self._contract.comments.get(name):
            schema["description"] = comment
        if fields:
            schema["properties"] = {member.json_name: self.member(name, member) for member in fields}
        if needed := [member.json_name for member in fields if rules_of(member).required]:
            schema["required"] = needed
        return schema

    def member(self, owner: str, member: Field) -> Schema:
        """One field, repeated ones and maps included, with its comment."""
        rules = rules_of(member)
        if (entry := self._entry(member)) is not None:
            schema: Schema = {"type": "object", "additionalProperties": self._one(entry.field[1], rules.map.values)}
        elif member.label == Field.LABEL_REPEATED:
            schema = {"type": "array", "items": self._one(member, rules.repeated.items)}
            if rules.repeated.min_items:
                schema["minItems"] = rules.repeated.min_items
            if rules.repeated.max_items:
                schema["maxItems"] = rules.repeated.max_items
        else:
            schema = self._one(member, rules)
        comment = self._contract.comments.get(f"{owner}.{member.name}")
        return {**schema, "description": comment} if comment else schema

    def _one(self, member: Field, rules: validate_pb2.FieldRules) -> Schema:
        name = member.type_name.removeprefix(".")
        if member.type == Field.TYPE_MESSAGE:
            return self.message(name)
        if member.type == Field.TYPE_ENUM:
            return self._reference(name, lambda: self._enum(name))
        return {**SCALARS[member.type], **_constraints(rules)}

    def _enum(self, name: str) -> Schema:
        comments = self._contract.comments
        values = [value.name for value in self._contract.enums[name].value]
        lines = [f"- `{value}`: {comments.get(f'{name}.{value}', '')}" for value in values]
        return {"type": "string", "description": "\n".join([comments.get(name, ""), "", *lines]), "enum": values}

    def _entry(self, member: Field) -> descriptor_pb2.DescriptorProto | None:
        """The entry message of a map."""
        message = self._contract.messages.get(member.type_name.removeprefix("."))
        return message if message is not None and message.options.map_entry else None

    def _reference(self, name: str, make: Any) -> Schema:
        short = name.removeprefix("mercato.").removeprefix("gateway.v1.").removeprefix("google.")
        if short not in self._made:
            self._made[short] = {}  # a message may hold itself
            self._made[short] = make()
        return {"$ref": f"#/components/schemas/{short}"}


def rules_of(member: Field) -> validate_pb2.FieldRules:
    """The field's ``buf.validate`` rules; empty without any."""
    rules: validate_pb2.FieldRules = member.options.Extensions[validate_pb2.field]  # type: ignore[index]
    return rules


def _constraints(rules: validate_pb2.FieldRules) -> Schema:
    """What a JSON schema can say of the rules."""
    kind = rules.WhichOneof("type")
    if kind == "string":
        return _text(rules.string)
    if kind in ("int32", "uint32", "double", "float"):
        numbers = getattr(rules, kind)
        return {word: getattr(numbers, limit) for limit, word in LIMITS.items() if numbers.HasField(limit)}
    return {}


def _text(rules: validate_pb2.StringRules) -> Schema:
    found: Schema = {}
    if rules.min_len:
        found["minLength"] = rules.min_len
    if rules.max_len:
        found["maxLength"] = rules.max_len
    if rules.pattern:
        found["pattern"] = rules.pattern
    if rules.uuid:
        found["format"] = "uuid"
    if allowed := list(getattr(rules, "in")):
        found["enum"] = allowed
    return found
