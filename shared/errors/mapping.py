"""The one mapping between the domain's exceptions and gRPC, both ways.

Outwards every error is a ``google.rpc.Status`` with ``ErrorInfo`` (reason, domain ``mercato``, metadata), a
``BadRequest`` with the violations, and a ``RetryInfo`` where a delay is known. Inwards the status of a
downstream service becomes the exception that it was there, so that it can be passed on unchanged.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from shared.errors.base import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    MercatoError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Violation,
)
from shared.errors.reasons import Reason

DOMAIN = "mercato"
CODES: dict[type[MercatoError], grpc.StatusCode] = {
    InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    Aborted: grpc.StatusCode.ABORTED,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    Cancelled: grpc.StatusCode.CANCELLED,
    Internal: grpc.StatusCode.INTERNAL,
}
"""Status code of each error; a subclass has the code of its nearest base, the bare base INTERNAL."""

# Trailers above 8 KiB are dropped by default clients (gRPC C-core and Java); base64 makes 4/3 of these.
_MAX_VIOLATIONS_BYTES = 3_500
_MAX_TEXT = 512
_CUT_OFF = ("Internal error from Core", "RST_STREAM")
_DEPENDENCY_ATTRIBUTE = "mercato_dependency"


def code_of(error: MercatoError) -> grpc.StatusCode:
    """The gRPC status code of ``error``."""
    for base in type(error).__mro__:
        if base in CODES:
            return CODES[base]
    return grpc.StatusCode.INTERNAL


def to_status(error: MercatoError, *, request_id: str = "", trace_id: str = "") -> grpc.Status:
    """The status that a client receives for ``error``, ready for ``abort_with_status``.

    An internal error shows only "internal error" and ``request_id``; all show ``trace_id``. Violations that do
    not fit in the trailers are left out and counted in the metadata key ``violations_omitted``.
    """
    code = code_of(error)
    internal = code is grpc.StatusCode.INTERNAL
    message = "internal error" if internal else _short(error.message)
    metadata = {} if internal else {key: _short(value) for key, value in error.metadata.items()}
    if internal and request_id:
        metadata["request_id"] = request_id
    if trace_id:
        metadata["trace_id"] = trace_id
    bad_request = _bad_request(error)
    omitted = len(error.violations) - len(bad_request.field_violations)
    if omitted:
        metadata["violations_omitted"] = str(omitted)
    details = [error_details_pb2.ErrorInfo(reason=error.reason.value, domain=DOMAIN, metadata=metadata)]
    status = status_pb2.Status(code=code.value[0], message=message)
    status.details.extend(_packed(detail) for detail in (*details, *_optional_details(error, bad_request)))
    result: grpc.Status = rpc_status.to_status(status)
    if error.retry_after_seconds is None:
        return result
    # What RetryInfo says, as the header that HTTP has for it: it becomes one where the call came over HTTP.
    seconds = str(max(1, math.ceil(error.retry_after_seconds)))
    return result._replace(trailing_metadata=(*result.trailing_metadata, ("retry-after", seconds)))  # type: ignore[attr-defined, no-any-return]


def from_exception(exception: BaseException) -> MercatoError | None:
    """The error that ``exception`` stands for, or ``None`` for an exception that nobody foresaw (a defect)."""
    if isinstance(exception, MercatoError):
        return exception
    if isinstance(exception, grpc.aio.AioRpcError):
        return from_rpc_error(exception)
    if isinstance(exception, TimeoutError):
        return DeadlineExceeded()
    # Only processes that use PostgreSQL have loaded its driver; the others must not pay for it.
    psycopg = sys.modules.get("psycopg")
    if psycopg and isinstance(exception, psycopg.OperationalError | psycopg.InterfaceError):
        return Unavailable("postgres")
    return None


def from_rpc_error(error: grpc.aio.AioRpcError, dependency: str = "") -> MercatoError:
    """What the failed call of a downstream service means here.

    Reason, metadata, violations and retry delay of a Mercato service are kept. ``dependency`` names the
    service called; channels of ``open_channel`` have noted it on the error already.
    """
    if isinstance(error, MercatoError):
        return error
    dependency = dependency or getattr(error, _DEPENDENCY_ATTRIBUTE, "") or "service"
    details = list(_details_of(error))
    if not details and (error.code() is grpc.StatusCode.CANCELLED or _is_cut_off(error)):
        return Unavailable(dependency)  # not by us and not by its handler: the peer ended
    info = next((detail for detail in details if isinstance(detail, error_details_pb2.ErrorInfo)), None)
    reason = _reason_of(error, info)
    metadata = dict(info.metadata) if info and info.domain == DOMAIN else {}
    result = _build(error, reason, dependency, metadata)
    for detail in details:
        if isinstance(detail, error_details_pb2.BadRequest):
            result.violations = tuple(
                Violation(item.field, item.description, item.reason) for item in detail.field_violations
            )
        if isinstance(detail, error_details_pb2.RetryInfo):
            result.retry_after_seconds = detail.retry_delay.seconds + detail.retry_delay.nanos / 1e9
    return result


def note_dependency(error: grpc.aio.AioRpcError, dependency: str) -> None:
    """Notes on ``error`` which service was called, for ``from_rpc_error``."""
    setattr(error, _DEPENDENCY_ATTRIBUTE, dependency)


def is_transport_failure(error: grpc.aio.AioRpcError) -> bool:
    """Whether the peer was not reached or did not answer in time (as opposed to: it answered with an error).

    A server that ends cancels the calls that came with its last breath; our own cancellation is no error of a call.
    """
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return True
    lost = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED) or _is_cut_off(error)
    return lost and not any(_details_of(error))


def _is_cut_off(error: grpc.aio.AioRpcError) -> bool:
    """Whether gRPC itself calls the end of a stream INTERNAL: a write met it, or the peer reset the stream."""
    code, text = error.code(), error.details() or ""
    return code is grpc.StatusCode.INTERNAL and any(mark in text for mark in _CUT_OFF)


def _build(error: grpc.aio.AioRpcError, reason: Reason, dependency: str, metadata: dict[str, str]) -> MercatoError:
    """The exception for the code of ``error``."""
    code, message = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE:
        # A peer that answered names the dependency that it misses itself.
        return Unavailable(metadata.get("dependency") or dependency, reason=reason, metadata=metadata)
    if code is grpc.StatusCode.NOT_FOUND:
        return _with_message(NotFound("resource", "", reason=reason), message, metadata)
    if code is grpc.StatusCode.ALREADY_EXISTS:
        return _with_message(AlreadyExists("resource", "", reason=reason), message, metadata)
    if code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE):
        return InvalidArgument((), message, reason=reason, metadata=metadata)
    simple = _SIMPLE.get(code)
    if simple:
        return simple(message, reason=reason, metadata=metadata)
    return Internal(f"{dependency}: {code.name}: {message}", metadata={"dependency": dependency})


_SIMPLE: dict[grpc.StatusCode, Callable[..., MercatoError]] = {
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.ABORTED: Aborted,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
}

_DEFAULT_REASONS = {
    grpc.StatusCode.INVALID_ARGUMENT: Reason.INVALID_REQUEST,
    grpc.StatusCode.OUT_OF_RANGE: Reason.INVALID_REQUEST,
    grpc.StatusCode.NOT_FOUND: Reason.INDEX_NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: Reason.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION: Reason.FAILED_PRECONDITION,
    grpc.StatusCode.ABORTED: Reason.STALE_UPDATE,
    grpc.StatusCode.UNAUTHENTICATED: Reason.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED: Reason.PERMISSION_DENIED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Reason.OVERLOADED,
    grpc.StatusCode.UNAVAILABLE: Reason.DEPENDENCY_UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED: Reason.CANCELLED,
}


def _reason_of(error: grpc.aio.AioRpcError, info: error_details_pb2.ErrorInfo | None) -> Reason:
    """The downstream's own reason when this version knows it, else the usual one of the code."""
    if info and info.domain == DOMAIN and info.reason in Reason.__members__:
        return Reason(info.reason)
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and "message larger than max" in (error.details() or ""):
        return Reason.MESSAGE_TOO_LARGE
    return _DEFAULT_REASONS.get(error.code(), Reason.INTERNAL)


def _with_message(error: MercatoError, message: str, metadata: dict[str, str]) -> MercatoError:
    """``error`` saying what the downstream said."""
    error.message, error.metadata = message, metadata
    return error


def _details_of(error: grpc.aio.AioRpcError) -> Iterator[object]:
    """The known detail messages of a failed call; none when there are no readable ones."""
    kinds = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
    try:
        status = rpc_status.from_call(error)
    except ValueError:
        return
    for packed in status.details if status else ():
        for kind in kinds:
            if packed.Is(kind.DESCRIPTOR):
                detail = kind()
                packed.Unpack(detail)
                yield detail


def _bad_request(error: MercatoError) -> error_details_pb2.BadRequest:
    """The violations of ``error`` that fit."""
    result, size = error_details_pb2.BadRequest(), 0
    for violation in error.violations:
        item = error_details_pb2.BadRequest.FieldViolation(
            field=_short(violation.field), description=_short(violation.description), reason=violation.rule
        )
        size += item.ByteSize() + 2
        if size > _MAX_VIOLATIONS_BYTES:
            break
        result.field_violations.append(item)
    return result


def _optional_details(
    error: MercatoError, bad_request: error_details_pb2.BadRequest
) -> Iterator[error_details_pb2.BadRequest | error_details_pb2.RetryInfo]:
    """Details that only some errors have."""
    if bad_request.field_violations:
        yield bad_request
    if error.retry_after_seconds is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(error.retry_after_seconds * 1e9))
        yield retry


def _packed(detail: object) -> AnyMessage:
    """``detail`` as an ``Any``."""
    packed = AnyMessage()
    packed.Pack(detail)  # type: ignore[arg-type]
    return packed


def _short(text: str) -> str:
    """``text`` cut so that a hostile value cannot overflow the trailers."""
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
