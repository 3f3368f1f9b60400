"""Deadline: makes the time left known to the handler, and gives unary calls one where the client set none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.context.request import set_remaining_seconds
from shared.errors.base import DeadlineExceeded
from shared.server.interceptors.handler import Context, Rpc, RpcInterceptor


class DeadlineInterceptor(RpcInterceptor):
    """Sets ``remaining_seconds()``. Streams without a deadline have none: an import may take long."""

    def __init__(self, default_seconds: float) -> None:
        super().__init__()
        self._default_seconds = default_seconds

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
