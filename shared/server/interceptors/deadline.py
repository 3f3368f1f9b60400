"""Deadline: makes the time left known to the handler, gives unary calls one, and ends streams that stand still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from shared.context.request import set_remaining_seconds
from shared.errors.base import DeadlineExceeded
from shared.server.interceptors.handler import Behaviour, Context, Rpc, RpcInterceptor


class DeadlineInterceptor(RpcInterceptor):
    """Sets ``remaining_seconds()``.

    Streams without a deadline have none: an import may take long. But a client that sends nothing for ``idle_seconds``
    while the handler waits for it, or takes none of the answers that wait for it, is given up: DEADLINE_EXCEEDED.
    """

    def __init__(self, default_seconds: float, idle_seconds: float) -> None:
        super().__init__()
        self._default_seconds = default_seconds
        self._idle_seconds = idle_seconds

    @asynccontextmanager
    async def around(self, rpc: Rpc, context: Context) -> AsyncIterator[None]:
        remaining = context.time_remaining()
        if remaining is not None or not rpc.unary:
            set_remaining_seconds(remaining)  # gRPC itself cancels the handler when the time is over
            yield
            return
        set_remaining_seconds(self._default_seconds)
        timeout = asyncio.timeout(self._default_seconds)
        try:
            async with timeout:
                yield
        except TimeoutError as error:
            if timeout.expired():
                raise DeadlineExceeded(
                    f"took longer than {self._default_seconds:g} s, the default without a client deadline",
                    metadata={"seconds": f"{self._default_seconds:g}"},
                ) from error
            raise

    def incoming(self, rpc: Rpc, request: Any) -> Any:
        return self._arriving(request) if rpc.request_streaming else request

    async def _arriving(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The messages of a stream. Raises DeadlineExceeded when none comes for too long."""
        while True:
            timeout = asyncio.timeout(self._idle_seconds)
            try:
                async with timeout:
                    request = await anext(requests)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                if timeout.expired():
                    raise self._idle("sent nothing") from error
                raise
            yield request

    def _stream(self, rpc: Rpc, behaviour: Behaviour) -> Behaviour:
        handle = super()._stream(rpc, behaviour)

        async def respond(request: Any, context: Any) -> AsyncIterator[Any]:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            assert task is not None
            stuck = False

            def give_up() -> None:
                nonlocal stuck
                stuck = True
                task.cancel()

            async with aclosing(handle(request, context)) as responses:
                async for response in responses:
                    timer = loop.call_later(self._idle_seconds, give_up)
                    try:
                        yield response
                    except asyncio.CancelledError as error:
                        if stuck:
                            raise self._idle("took no answer") from error
                        raise
                    finally:
                        timer.cancel()

        return respond

    def _idle(self, what: str) -> DeadlineExceeded:
        seconds = f"{self._idle_seconds:g}"
        return DeadlineExceeded(f"the client {what} for {seconds} s", metadata={"seconds": seconds})
