"""Triton's client: every call limited in time and its errors translated."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Self

import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from shared.errors.base import Internal, MercatoError, Unavailable
from shared.telemetry.metrics import histogram
from shared.telemetry.tracing import TRACEPARENT, client_span, current_traceparent

DEPENDENCY = "triton"
_CHANNEL = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # By default gRPC waits up to two minutes before it looks again for a server that was away.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
SECONDS = histogram("triton_seconds", "Duration of requests to Triton.", ("model", "outcome"))

Call = Callable[[Any, float], Awaitable[Any]]
"""A call of the client given, with the seconds that it may take."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a call is about, for metrics and traces: words of the code, not the hash in a model's name."""

    operation: str
    model: str = "none"
    batch: int = 0
    """Rows of an inference."""


def trace_headers() -> dict[str, str]:
    """Metadata of an inference: Triton records those that have a trace, so it gets only those that are recorded."""
    traceparent = current_traceparent()
    return {TRACEPARENT: traceparent} if traceparent else {}


OTHER = Subject("control")
_seconds = cache(SECONDS.labels)


class TritonConnection:
    """Use as an async context manager. Triton may be down when it is opened."""

    def __init__(self, address: str, timeout_seconds: float) -> None:
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._client: triton.InferenceServerClient | None = None

    async def __aenter__(self) -> Self:
        self._client = triton.InferenceServerClient(self._address, channel_args=_CHANNEL)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client:
            await client.close()

    @property
    def timeout_seconds(self) -> float:
        """Longest time of one call."""
        return self._timeout_seconds

    async def __call__(self, call: Call, subject: Subject = OTHER) -> Any:
        """Raises Unavailable, or Internal when the request itself was wrong."""
        if self._client is None:
            raise Internal("the connection to Triton is not open: use it in 'async with'")
        start, outcome = time.perf_counter(), "error"
        try:
            with client_span(f"triton {subject.operation}", _attributes(subject)):
                answer = await call(self._client, self._timeout_seconds)
            outcome = "ok"
        except InferenceServerException as error:
            raise _translated(error) from error
        finally:
            _seconds(subject.model, outcome).observe(time.perf_counter() - start)
        return answer


@cache
def _attributes(subject: Subject) -> dict[str, str | int]:
    return {"peer.service": DEPENDENCY, "triton.model": subject.model, "triton.batch_size": subject.batch}


def _translated(error: InferenceServerException) -> MercatoError:
    """Triton answers INVALID_ARGUMENT to a request that it cannot read; everything else may pass."""
    status = str(error.status() or "").removeprefix("StatusCode.")
    if status == "INVALID_ARGUMENT":
        return Internal(f"Triton refused a request: {error.message()}")
    return Unavailable(DEPENDENCY, metadata={"status": status, "detail": str(error.message())[:200]})
