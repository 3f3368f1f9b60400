"""What the proxy answers by itself, in the form of the gateway's errors: a ``google.rpc.Status`` with its details."""

import base64
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

RETRY_SECONDS = 1
JSON_MARK = "x-mercato-json"
"""Header that the proxy puts on requests that did not come as gRPC; their content type changes on the way."""


@dataclass(frozen=True)
class Reply:
    """An answer for one HTTP status: gRPC code, reason of ``mercato.errors.v1``, message, what it is about."""

    http: int
    grpc: int
    reason: str
    message: str
    metadata: dict[str, str] = field(default_factory=dict)
    retry: bool = False


OWN_WORDS = "%LOCAL_REPLY_BODY%"
BROKEN = Reply(500, 13, "INTERNAL", "internal error")
TOO_LATE = Reply(504, 4, "DEADLINE_EXCEEDED", "the gateway did not answer in time", {"dependency": "gateway"})
REPLIES = (
    Reply(400, 3, "INVALID_REQUEST", OWN_WORDS),
    Reply(403, 7, "PERMISSION_DENIED", OWN_WORDS),
    Reply(404, 12, "INVALID_REQUEST", "no rpc has this verb and path: see the OpenAPI document"),
    Reply(408, 4, "DEADLINE_EXCEEDED", "the request did not arrive in time"),
    Reply(413, 8, "MESSAGE_TOO_LARGE", "the body is larger than allowed"),
    Reply(415, 3, "INVALID_REQUEST", OWN_WORDS, {"header": "content-type"}),
    Reply(431, 3, "INVALID_REQUEST", "the headers are larger or more than allowed"),
    BROKEN,
    Reply(502, 14, "DEPENDENCY_UNAVAILABLE", "the gateway broke off its answer", {"dependency": "gateway"}, retry=True),
    Reply(503, 14, "DEPENDENCY_UNAVAILABLE", "the gateway is not reached", {"dependency": "gateway"}, retry=True),
    TOO_LATE,
)

ENDS = (
    Reply(499, 1, "CANCELLED", "the call was given up"),
    Reply(500, 2, "INTERNAL", "internal error"),
    TOO_LATE,
    Reply(429, 8, "MESSAGE_TOO_LARGE", "the message or its metadata are larger than allowed"),
    Reply(501, 12, "INVALID_REQUEST", "the gateway has no such rpc"),
    BROKEN,
    Reply(503, 14, "DEPENDENCY_UNAVAILABLE", "the gateway ends", {"dependency": "gateway"}, retry=True),
)
"""What gRPC in the gateway says without the gateway, a status without details; the HTTP code is the transcoder's."""


def bare_details() -> dict[str, str]:
    """``grpc-status-details-bin`` by ``grpc-status``, for answers that have none."""
    return {str(reply.grpc): _encoded(reply) for reply in ENDS}


def local_replies() -> dict[str, Any]:
    """Envoy's ``LocalReplyConfig``: a JSON body, or for callers of gRPC and gRPC-Web the details beside its status."""
    return {"mappers": [*map(_json, REPLIES), *map(_grpc, REPLIES)]}


def _json(reply: Reply) -> dict[str, Any]:
    grpc = {"string_match": {"prefix": "application/grpc"}, "invert_match": True, "treat_missing_header_as_empty": True}
    other = {"header_filter": {"header": {"name": "content-type", **grpc}}}
    marked = {"header_filter": {"header": {"name": JSON_MARK, "present_match": True}}}
    return {
        "filter": {"and_filter": {"filters": [_with_code(reply), {"or_filter": {"filters": [marked, other]}}]}},
        "headers_to_add": _retry_after(reply),
        "body_format_override": {
            "json_format": json_format.MessageToDict(_status(reply)),
            "content_type": "application/json",
        },
    }


def _grpc(reply: Reply) -> dict[str, Any]:
    own = [] if reply.message == OWN_WORDS else [_header("grpc-status-details-bin", _encoded(reply))]
    return {"filter": _with_code(reply), "headers_to_add": [*_retry_after(reply), *own]}


def _with_code(reply: Reply) -> dict[str, Any]:
    value = {"default_value": reply.http, "runtime_key": f"mercato.http_{reply.http}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _retry_after(reply: Reply) -> list[dict[str, Any]]:
    return [_header("retry-after", str(RETRY_SECONDS))] if reply.retry else []


def _status(reply: Reply) -> status_pb2.Status:
    status = status_pb2.Status(code=reply.grpc, message=reply.message)
    info = error_details_pb2.ErrorInfo(reason=reply.reason, domain="mercato", metadata=reply.metadata)
    status.details.add().Pack(info)
    if reply.retry:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromSeconds(RETRY_SECONDS)
        status.details.add().Pack(retry)
    return status


def _encoded(reply: Reply) -> str:
    return base64.b64encode(_status(reply).SerializeToString()).decode().rstrip("=")


def _header(key: str, value: str) -> dict[str, Any]:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
