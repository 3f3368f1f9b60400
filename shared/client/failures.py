"""Errors of calls to other services, as domain errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from shared.errors.base import DeadlineExceeded, MercatoError, Unavailable
from shared.errors.mapping import code_of, from_rpc_error, note_dependency, to_status


@contextmanager
def remote_errors(service: str) -> Iterator[None]:
    """Calls made inside the block raise domain errors: ``with remote_errors("encoder"): await stub.Encode(...)``.

    Raises Unavailable(service), DeadlineExceeded, NotFound, InvalidArgument, ... with the reason, metadata
    and violations that the other service gave.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error, service) from error


class LocalRpcError(grpc.aio.AioRpcError):
    """A call that failed without leaving this process. gRPC's call objects understand only its own errors."""

    def __init__(self, error: MercatoError, peer: str) -> None:
        status = to_status(error)
        metadata = grpc.aio.Metadata(*(status.trailing_metadata or ()))
        grpc.aio.AioRpcError.__init__(self, code_of(error), grpc.aio.Metadata(), metadata, status.details)
        note_dependency(self, peer)


class CircuitOpen(Unavailable, LocalRpcError):
    """The peer is known to be down and was not called. Caught as ``Unavailable`` and as ``AioRpcError``."""

    def __init__(self, peer: str, retry_after_seconds: float) -> None:
        Unavailable.__init__(self, peer, retry_after_seconds=retry_after_seconds)
        LocalRpcError.__init__(self, self, peer)


class NoTimeLeft(DeadlineExceeded, LocalRpcError):
    """The request's time is over before the call. Caught as ``DeadlineExceeded`` and as ``AioRpcError``."""

    def __init__(self, peer: str) -> None:
        DeadlineExceeded.__init__(self, f"no time left to call {peer}", metadata={"dependency": peer})
        LocalRpcError.__init__(self, self, peer)
