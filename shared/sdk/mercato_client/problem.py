"""What the gateway says when it cannot do what was asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

DOMAIN = "mercato"
_DETAILS = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)


@dataclass(frozen=True)
class Violation:
    """One broken rule: the field's path such as ``events[3].product_id``, what is wrong, and the rule's id."""

    field: str
    description: str
    rule: str = ""


@dataclass(frozen=True)
class Problem:
    """A failed call, read."""

    code: grpc.StatusCode
    message: str
    """For people."""
    reason: str = ""
    """For programs: a name of ``mercato.errors.v1.ErrorReason``, ``PRODUCT_NOT_FOUND``; empty: not from Mercato."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    retry_after_seconds: float | None = None
    request_id: str = ""
    """Names the call in the gateway's logs."""


def problem_of(error: grpc.RpcError) -> Problem:
    """Reads the error of a call of either kind, ``grpc.aio.AioRpcError`` or ``grpc.RpcError``."""
    call: Any = error
    found = list(_details(call))
    info = next((one for one in found if isinstance(one, error_details_pb2.ErrorInfo) and one.domain == DOMAIN), None)
    violations = tuple(
        Violation(item.field, item.description, item.reason)
        for one in found
        if isinstance(one, error_details_pb2.BadRequest)
        for item in one.field_violations
    )
    delays = [one.retry_delay for one in found if isinstance(one, error_details_pb2.RetryInfo)]
    trailers = {key: value for key, value in call.trailing_metadata() or () if isinstance(value, str)}
    return Problem(
        code=call.code(),
        message=call.details() or "",
        reason=info.reason if info else "",
        metadata=dict(info.metadata) if info else {},
        violations=violations,
        retry_after_seconds=delays[0].seconds + delays[0].nanos / 1e9 if delays else None,
        request_id=trailers.get("x-request-id", ""),
    )


def _details(call: Any) -> Iterator[object]:
    """The details that are known here; none when there are no readable ones."""
    try:
        status = rpc_status.from_call(call)
    except ValueError:
        return
    for packed in status.details if status else ():
        for kind in _DETAILS:
            if packed.Is(kind.DESCRIPTOR):
                detail = kind()
                packed.Unpack(detail)
                yield detail
