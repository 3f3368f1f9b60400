"""Client interceptors: one for each kind of call, all following the channel's one policy.

Each call carries tenant and request id, never outlives the request that makes it, is not made while the
circuit breaker is open, and is counted. Unary calls are repeated within the retry budget.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import grpc
from grpc.aio import ClientCallDetails, Metadata

from shared.client.breaker import CircuitBreaker
from shared.client.failures import CircuitOpen, NoTimeLeft
from shared.client.hedging import Hedging
from shared.client.retry import RetryBudget, RetryPolicy
from shared.context.priority import PRIORITY_METADATA, current_priority
from shared.context.request import (
    REQUEST_ID_METADATA,
    TENANT_METADATA,
    current_request_id,
    current_tenant,
    remaining_seconds,
)
from shared.errors.mapping import is_transport_failure, note_dependency
from shared.telemetry.metrics import CLIENT_CALLS, CLIENT_RETRIES, CLIENT_SECONDS
from shared.telemetry.tracing import TRACEPARENT, client_span, current_traceparent, note

Continuation = Callable[[Any, Any], Awaitable[Any]]
_HOP_SHARE = 0.05
_HOP_MOST_SECONDS = 0.02
_MIN_FAIR_TIMEOUT_SECONDS = 0.25
"""A call given less than this may run out of time at a healthy peer; that says nothing about the peer."""


@dataclass(frozen=True, slots=True)
class Replicas:
    """What is added where several replicas stand behind a channel."""

    hedging: Hedging
    connected: Callable[[], bool]
    """Whether the channel is connected to any of them: then one that was lost says nothing about the others."""


class CallPolicy:
    """What is done around every call of one channel."""

    replicas: Replicas | None = None

    def __init__(
        self,
        peer: str,
        breaker: CircuitBreaker,
        retry: RetryPolicy,
        default_timeout_seconds: float,
        budget: RetryBudget | None = None,
    ) -> None:
        self.peer = peer
        self.breaker = breaker
        self.retry = retry
        self.budget = budget or RetryBudget()
        self._default_timeout = default_timeout_seconds
        # Looking a series up by its labels costs several microseconds each time.
        self._calls = cache(partial(CLIENT_CALLS.labels, peer))
        self._seconds = cache(partial(CLIENT_SECONDS.labels, peer))

    def prepare(self, details: Any, *, streaming: bool) -> Any:
        """The call's details with metadata and time limit. Raises NoTimeLeft."""
        timeout = details.timeout
        if timeout is None and not streaming:
            timeout = self._default_timeout
        remaining = remaining_seconds()
        if remaining is not None:
            # A part of the time is kept back, so that the answer of a peer that uses all of it still counts.
            left = remaining - min(remaining * _HOP_SHARE, _HOP_MOST_SECONDS)
            timeout = left if timeout is None else min(timeout, left)
        if timeout is not None and timeout <= 0:
            raise NoTimeLeft(self.peer)
        metadata = Metadata(*(details.metadata or ()))
        if metadata.get(TENANT_METADATA) is None:
            metadata.add(TENANT_METADATA, current_tenant())
        request_id = current_request_id()
        if request_id and metadata.get(REQUEST_ID_METADATA) is None:
            metadata.add(REQUEST_ID_METADATA, request_id)
        if traceparent := current_traceparent():
            metadata.add(TRACEPARENT, traceparent)
        priority = current_priority()
        if priority is not None and metadata.get(PRIORITY_METADATA) is None:
            metadata.add(PRIORITY_METADATA, priority.label)
        return ClientCallDetails(details.method, timeout, metadata, details.credentials, details.wait_for_ready)

    def guard(self) -> None:
        """Raises CircuitOpen while the peer is known to be down."""
        if not self.breaker.allows():
            raise CircuitOpen(self.peer, self.breaker.retry_after_seconds())

    def answered(self) -> None:
        """The peer answered well."""
        self.breaker.succeeded()
        self.budget.succeeded()

    def failed(self, error: grpc.aio.AioRpcError, timeout: float | None) -> bool:
        """Takes note of a failed call; returns whether the peer was not reached (a retry may help)."""
        note_dependency(error, self.peer)
        if isinstance(error, CircuitOpen | NoTimeLeft):
            return False
        if not is_transport_failure(error):
            self.breaker.succeeded()
            return False
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            if timeout is not None and timeout >= _MIN_FAIR_TIMEOUT_SECONDS:
                self.breaker.failed()
            return False
        if self.replicas is None or not self.replicas.connected():
            self.breaker.failed()
        return True

    async def ask(self, method: str, ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """The answer of ``ask``, which makes one attempt; hedged where that may help."""
        replicas = self.replicas
        if replicas is None or not replicas.hedging.hedges(method):
            return await ask()
        return await replicas.hedging.first(method, ask)

    def finished(self, method: str, started: float, code: grpc.StatusCode) -> None:
        """Counts a call."""
        self._calls(method, code.name).inc()
        self._seconds(method).observe(time.perf_counter() - started)


def client_interceptors(policy: CallPolicy) -> list[grpc.aio.ClientInterceptor]:
    """One interceptor a kind: gRPC takes an object for one kind only, the first that it matches."""
    return [UnaryUnary(policy), UnaryStream(policy), StreamUnary(policy), StreamStream(policy)]


class UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    """One message each way; repeated when the peer was not reached."""

    def __init__(self, policy: CallPolicy) -> None:
        self._policy = policy

    async def intercept_unary_unary(self, continuation: Continuation, client_call_details: Any, request: Any) -> Any:
        """Called by gRPC. Returns the finished call, so that its metadata stays readable."""
        policy, method, started = self._policy, _text(client_call_details.method), time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        try:
            with client_span(method[1:], {"rpc.system.name": "grpc", "peer.service": f"mercato-{policy.peer}"}):
                call = await self._attempts(continuation, client_call_details, request, method)
            code = grpc.StatusCode.OK
            return call
        except grpc.aio.AioRpcError as error:
            code = error.code()
            raise
        finally:
            policy.finished(method, started, code)

    async def _attempts(self, continuation: Continuation, details: Any, request: Any, method: str) -> Any:
        """Tries until an answer, the last attempt, an empty budget or the end of time."""
        policy, began = self._policy, time.monotonic()
        last = policy.retry.attempts_for(method) - 1
        for attempt in range(last + 1):
            prepared = policy.prepare(_less(details, time.monotonic() - began), streaming=False)
            try:
                policy.guard()
                call = await policy.ask(method, partial(_attempt, continuation, prepared, request))
                policy.answered()
                return call
            except grpc.aio.AioRpcError as error:
                repeatable = policy.failed(error, prepared.timeout)
                pause = policy.retry.pause_seconds(attempt)
                if not repeatable or attempt == last or pause >= prepared.timeout or not policy.budget.take():
                    raise
            CLIENT_RETRIES.labels(policy.peer, method).inc()
            note("retry", {"attempt": attempt + 1})
            await asyncio.sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")


class _Stream:
    """What the streaming kinds share."""

    def __init__(self, policy: CallPolicy) -> None:
        self._policy = policy

    async def _start(self, continuation: Continuation, details: Any, request: Any) -> tuple[Any, Any]:
        """The running call and its prepared details."""
        prepared = self._policy.prepare(details, streaming=True)
        self._policy.guard()
        return await continuation(prepared, request), prepared

    async def _watched(self, call: Any, details: Any) -> AsyncIterator[Any]:
        """The responses of ``call``, its end reported to the policy."""
        policy, started, code = self._policy, time.perf_counter(), grpc.StatusCode.CANCELLED
        try:
            async for response in call:
                yield response
            code = grpc.StatusCode.OK
            policy.answered()
        except grpc.aio.AioRpcError as error:
            code = error.code()
            policy.failed(error, details.timeout)
            raise
        finally:
            policy.finished(_text(details.method), started, code)


class UnaryStream(_Stream, grpc.aio.UnaryStreamClientInterceptor):
    """One request, a stream of responses."""

    async def intercept_unary_stream(self, continuation: Continuation, client_call_details: Any, request: Any) -> Any:
        """Called by gRPC."""
        call, prepared = await self._start(continuation, client_call_details, request)
        return self._watched(call, prepared)


class StreamStream(_Stream, grpc.aio.StreamStreamClientInterceptor):
    """A stream each way."""

    async def intercept_stream_stream(
        self, continuation: Continuation, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Called by gRPC."""
        call, prepared = await self._start(continuation, client_call_details, request_iterator)
        return self._watched(call, prepared)


class StreamUnary(_Stream, grpc.aio.StreamUnaryClientInterceptor):
    """A stream of requests, one response. The caller may still write, so the end is watched from outside."""

    async def intercept_stream_unary(
        self, continuation: Continuation, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Called by gRPC."""
        call, prepared = await self._start(continuation, client_call_details, request_iterator)
        started, reports = time.perf_counter(), self._reports

        def report(finished: Any) -> None:
            task = asyncio.ensure_future(self._report(finished, prepared, started))
            reports.add(task)
            task.add_done_callback(reports.discard)

        call.add_done_callback(report)
        return call

    def __init__(self, policy: CallPolicy) -> None:
        super().__init__(policy)
        self._reports: set[asyncio.Future[None]] = set()

    async def _report(self, call: Any, details: Any, started: float) -> None:
        """Tells the policy how ``call`` ended."""
        code = await call.code()
        if code is grpc.StatusCode.OK:
            self._policy.answered()
        else:
            trailing = await call.trailing_metadata()
            error = grpc.aio.AioRpcError(code, Metadata(), trailing, await call.details())
            self._policy.failed(error, details.timeout)
        self._policy.finished(_text(details.method), started, code)


async def _attempt(continuation: Continuation, details: Any, request: Any) -> Any:
    """One call, finished."""
    call = await continuation(details, request)
    await call
    return call


def _less(details: Any, elapsed: float) -> Any:
    """``details`` with the time that earlier attempts took off the caller's own limit."""
    return details if details.timeout is None else details._replace(timeout=details.timeout - elapsed)


def _text(method: Any) -> str:
    """The method's name, which gRPC hands over as bytes."""
    return method.decode() if isinstance(method, bytes) else str(method)
