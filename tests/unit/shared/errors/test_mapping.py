"""Every error as a client sees it, through a real server with the real interceptors."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import psycopg
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from shared.client.channel import open_channel
from shared.client.failures import CircuitOpen, NoTimeLeft
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
from shared.errors.mapping import CODES, from_rpc_error, is_transport_failure
from shared.errors.reasons import Reason

Code = grpc.StatusCode
CASES: dict[type[MercatoError], tuple[Callable[[], MercatoError], Code, Reason, dict[str, str]]] = {
    InvalidArgument: (
        lambda: InvalidArgument([Violation("page_size", "must be at least 0", "int32.gte")]),
        Code.INVALID_ARGUMENT,
        Reason.INVALID_REQUEST,
        {},
    ),
    NotFound: (lambda: NotFound("product", "p-1"), Code.NOT_FOUND, Reason.PRODUCT_NOT_FOUND, {"product_id": "p-1"}),
    AlreadyExists: (
        lambda: AlreadyExists("index", "r3"), Code.ALREADY_EXISTS, Reason.ALREADY_EXISTS, {"index": "r3"},
    ),
    FailedPrecondition: (
        lambda: FailedPrecondition("vectors differ", reason=Reason.MODEL_MISMATCH, metadata={"model_release": "a"}),
        Code.FAILED_PRECONDITION,
        Reason.MODEL_MISMATCH,
        {"model_release": "a"},
    ),
    Aborted: (lambda: Aborted("older"), Code.ABORTED, Reason.STALE_UPDATE, {}),
    Unauthenticated: (Unauthenticated, Code.UNAUTHENTICATED, Reason.UNAUTHENTICATED, {}),
    PermissionDenied: (
        lambda: PermissionDenied(metadata={"scope": "write"}),
        Code.PERMISSION_DENIED,
        Reason.PERMISSION_DENIED,
        {"scope": "write"},
    ),
    ResourceExhausted: (
        lambda: ResourceExhausted("slow down", retry_after_seconds=1.5),
        Code.RESOURCE_EXHAUSTED,
        Reason.RATE_LIMITED,
        {},
    ),
    Unavailable: (
        lambda: Unavailable("postgres"), Code.UNAVAILABLE, Reason.DEPENDENCY_UNAVAILABLE, {"dependency": "postgres"},
    ),
    DeadlineExceeded: (DeadlineExceeded, Code.DEADLINE_EXCEEDED, Reason.DEADLINE_EXCEEDED, {}),
    Cancelled: (Cancelled, Code.CANCELLED, Reason.CANCELLED, {}),
    Internal: (lambda: Internal("disk 3 is broken"), Code.INTERNAL, Reason.INTERNAL, {"request_id": "r-1"}),
    CircuitOpen: (
        lambda: CircuitOpen("encoder", 0.1),
        Code.UNAVAILABLE,
        Reason.DEPENDENCY_UNAVAILABLE,
        {"dependency": "encoder"},
    ),
    NoTimeLeft: (
        lambda: NoTimeLeft("encoder"), Code.DEADLINE_EXCEEDED, Reason.DEADLINE_EXCEEDED, {"dependency": "encoder"},
    ),
}  # fmt: skip


def subclasses(base: type[MercatoError]) -> Iterator[type[MercatoError]]:
    for child in base.__subclasses__():
        yield child
        yield from subclasses(child)


def details(error: grpc.aio.AioRpcError) -> dict[type[Any], Any]:
    status = rpc_status.from_call(error)
    found: dict[type[Any], Any] = {}
    for packed in status.details if status else ():
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo):
            if packed.Is(kind.DESCRIPTOR):
                found[kind] = kind.FromString(packed.value)
    return found


async def failure(client: Any, kind: str = "UnaryUnary", **options: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.call(kind, **options)
    return caught.value


def raising(make: Callable[[], BaseException]) -> Callable[[str], Any]:
    async def handle(text: str) -> str:
        raise make()

    return handle


def test_every_error_of_shared_has_a_case() -> None:
    ours = {kind for kind in subclasses(MercatoError) if kind.__module__.startswith("shared.")}
    assert ours == set(CASES)


def test_every_error_anywhere_has_a_code_by_its_base() -> None:
    assert all(any(base in CODES for base in kind.__mro__) for kind in subclasses(MercatoError))


@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("arity", ["UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream"])
async def test_code_and_reason_as_the_client_sees_them(kind: type[MercatoError], arity: str, serve_echo: Any) -> None:
    make, code, reason, metadata = CASES[kind]
    async with serve_echo(raising(make)) as client:
        error = await failure(client, arity, metadata=(("x-request-id", "r-1"),))
    info = details(error)[error_details_pb2.ErrorInfo]
    assert (error.code(), info.reason, info.domain) == (code, reason.value, "mercato")
    assert dict(info.metadata) == metadata
    assert from_rpc_error(error).reason is reason


async def test_violations_and_their_paths_survive_both_ways(serve_echo: Any) -> None:
    violations = (Violation("events[3].product_id", "value is required", "required"), Violation("a.b", "no", "r"))
    async with serve_echo(raising(lambda: InvalidArgument(violations))) as client:
        error = await failure(client)
    assert error.details() == "events[3].product_id: value is required (and 1 more)"
    assert from_rpc_error(error).violations == violations


async def test_retry_delay_survives_both_ways(serve_echo: Any) -> None:
    async with serve_echo(raising(lambda: ResourceExhausted("slow", retry_after_seconds=1.25))) as client:
        error = await failure(client)
    assert from_rpc_error(error).retry_after_seconds == 1.25
    assert dict(error.trailing_metadata())["retry-after"] == "2", "whole seconds, as the header of HTTP has them"


async def test_more_violations_than_trailers_hold_are_cut_and_counted(serve_echo: Any) -> None:
    violations = [Violation(f"events[{i}].product_id", "value is required " * 20, "required") for i in range(1000)]
    async with serve_echo(raising(lambda: InvalidArgument(violations))) as client:
        error = await failure(client)
    found = details(error)
    shown = len(found[error_details_pb2.BadRequest].field_violations)
    assert error.code() is Code.INVALID_ARGUMENT
    assert shown > 0
    assert found[error_details_pb2.ErrorInfo].metadata["violations_omitted"] == str(1000 - shown)


async def test_unforeseen_exception_shows_nothing_of_itself(serve_echo: Any) -> None:
    async with serve_echo(raising(lambda: KeyError("password"))) as client:
        error = await failure(client, metadata=(("x-request-id", "r-7"),))
    assert (error.code(), error.details()) == (Code.INTERNAL, "internal error")
    assert dict(details(error)[error_details_pb2.ErrorInfo].metadata) == {"request_id": "r-7"}
    assert "password" not in str(error)


@pytest.mark.parametrize(
    ("make", "code", "reason"),
    [
        (lambda: psycopg.OperationalError("gone"), Code.UNAVAILABLE, Reason.DEPENDENCY_UNAVAILABLE),
        (lambda: psycopg.InterfaceError("closed"), Code.UNAVAILABLE, Reason.DEPENDENCY_UNAVAILABLE),
        (lambda: psycopg.errors.UniqueViolation("twice"), Code.INTERNAL, Reason.INTERNAL),
        (TimeoutError, Code.DEADLINE_EXCEEDED, Reason.DEADLINE_EXCEEDED),
    ],
)
async def test_exceptions_of_libraries(make: Any, code: Code, reason: Reason, serve_echo: Any) -> None:
    async with serve_echo(raising(make)) as client:
        error = await failure(client)
    assert (error.code(), details(error)[error_details_pb2.ErrorInfo].reason) == (code, reason.value)


async def test_error_of_a_downstream_service_passes_through(serve_echo: Any, serve_echo_with_our_channel: Any) -> None:
    missing = raising(lambda: NotFound("product", "p-9"))
    async with serve_echo_with_our_channel(missing) as downstream, serve_echo(downstream.say) as client:
        error = await failure(client)
    info = details(error)[error_details_pb2.ErrorInfo]
    assert (error.code(), info.reason, dict(info.metadata)) == (
        Code.NOT_FOUND, "PRODUCT_NOT_FOUND", {"product_id": "p-9"},
    )  # fmt: skip
    assert error.details() == "product 'p-9' not found"


async def test_defect_of_a_downstream_service_is_a_defect_here(
    serve_echo: Any, serve_echo_with_our_channel: Any
) -> None:
    defect = raising(lambda: KeyError("x"))
    async with serve_echo_with_our_channel(defect) as downstream, serve_echo(downstream.say) as client:
        error = await failure(client, metadata=(("x-request-id", "r-2"),))
    assert (error.code(), error.details()) == (Code.INTERNAL, "internal error")
    assert details(error)[error_details_pb2.ErrorInfo].metadata["request_id"] == "r-2"


async def test_missing_peer_is_named(serve_echo: Any, make_echo_client: Any) -> None:
    async with (
        open_channel("127.0.0.1:1", service="encoder", idempotent=()) as channel,
        serve_echo(make_echo_client(channel).say) as client,
    ):
        error = await failure(client)
    info = details(error)[error_details_pb2.ErrorInfo]
    assert (error.code(), info.reason) == (Code.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
    assert dict(info.metadata) == {"dependency": "encoder"}


@pytest.mark.parametrize("text", ["Internal error from Core", "Received RST_STREAM with error code 2"])
def test_a_stream_that_was_cut_off_is_a_lost_peer_and_no_defect(text: str) -> None:
    error = grpc.aio.AioRpcError(Code.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata(), text)
    assert is_transport_failure(error)
    lost = from_rpc_error(error, "catalog")
    assert isinstance(lost, Unavailable)
    assert lost.dependency == "catalog"
    defect = grpc.aio.AioRpcError(Code.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata(), "internal error")
    assert not is_transport_failure(defect)
    assert isinstance(from_rpc_error(defect, "catalog"), Internal)
