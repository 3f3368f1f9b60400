"""What is done around every call: who calls, how long it may take, and whether it is made again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc.aio import ClientCallDetails, Metadata

from mercato_client.options import Options
from mercato_client.problem import Problem, problem_of

Continuation = Callable[[Any, Any], Awaitable[Any]]
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
_LASTING = ("MESSAGE_TOO_LARGE",)
"""Reasons that the same request meets again."""


class Caller:
    """The policy of one client: options and the budget of repetitions."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._owed = options.retry.budget

    @property
    def attempts(self) -> int:
        """Most attempts of one call."""
        return self._options.retry.attempts

    def details(self, details: Any, seconds: float | None) -> Any:
        """The call's details with metadata and ``seconds`` to go (None: no limit)."""
        options, metadata = self._options, Metadata(*(details.metadata or ()))
        pairs = [("mercato-tenant", options.tenant), ("x-api-key", options.api_key)]
        if options.token:
            pairs.append(("authorization", f"Bearer {options.token()}"))
        for key, value in pairs:
            if value and metadata.get(key) is None:
                metadata.add(key, value)
        return ClientCallDetails(details.method, seconds, metadata, details.credentials, details.wait_for_ready)

    def seconds(self, details: Any) -> float:
        """How long a call with one answer may take."""
        return self._options.deadline_seconds if details.timeout is None else float(details.timeout)

    def pause(self, problem: Problem, attempt: int) -> float | None:
        """Seconds until a failed call is made again; None: it is not."""
        retry = self._options.retry
        lasting = problem.reason in _LASTING
        if problem.code not in _PASSING or lasting or attempt + 1 >= retry.attempts or self._owed < 1:
            return None
        self._owed -= 1
        told = problem.retry_after_seconds
        seconds = min(retry.first_pause_seconds * 2**attempt, retry.longest_pause_seconds) if told is None else told
        return seconds * (1 + random.uniform(0, retry.spread))  # noqa: S311 - a spread, no secret

    def answered(self) -> None:
        """A call went well."""
        retry = self._options.retry
        self._owed = min(retry.budget, self._owed + retry.earned)


class OneAnswer(grpc.aio.UnaryUnaryClientInterceptor):
    """One message each way; made again where that helps, within the caller's time."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def intercept_unary_unary(self, continuation: Continuation, client_call_details: Any, request: Any) -> Any:
        """Called by gRPC. Returns the finished call."""
        caller = self._caller
        ends = time.monotonic() + caller.seconds(client_call_details)
        for attempt in range(caller.attempts):
            call = await continuation(caller.details(client_call_details, max(0.0, ends - time.monotonic())), request)
            try:
                await call
            except grpc.aio.AioRpcError as error:
                pause = caller.pause(problem_of(error), attempt)
                if pause is None or time.monotonic() + pause >= ends:
                    raise
                await asyncio.sleep(pause)
            else:
                caller.answered()
                return call
        raise AssertionError("unreachable: the last attempt returns or raises")


class StreamedAnswer(grpc.aio.UnaryStreamClientInterceptor):
    """A stream of answers: never made again by itself, without a limit of time unless given."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def intercept_unary_stream(self, continuation: Continuation, client_call_details: Any, request: Any) -> Any:
        """Called by gRPC."""
        return await continuation(self._caller.details(client_call_details, client_call_details.timeout), request)


class StreamBothWays(grpc.aio.StreamStreamClientInterceptor):
    """A stream each way; imports open it again themselves."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def intercept_stream_stream(
        self, continuation: Continuation, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Called by gRPC."""
        details = self._caller.details(client_call_details, client_call_details.timeout)
        return await continuation(details, request_iterator)


def interceptors(options: Options) -> list[grpc.aio.ClientInterceptor]:
    """One a kind of call: gRPC takes an object for one kind only."""
    caller = Caller(options)
    return [OneAnswer(caller), StreamedAnswer(caller), StreamBothWays(caller)]
