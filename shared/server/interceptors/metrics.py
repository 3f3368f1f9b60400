"""Metrics: count, duration and number in flight of the calls served."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from shared.server.interceptors.handler import Context, Rpc, RpcInterceptor
from shared.server.interceptors.outcome import outcome
from shared.telemetry.metrics import SERVER_CALLS, SERVER_IN_FLIGHT, SERVER_SECONDS


class MetricsInterceptor(RpcInterceptor):
    """Counts each call under the status code that its client sees."""

    def __init__(self) -> None:
        super().__init__()
        # Looking a series up by its labels costs several microseconds each time.
        self._calls = cache(SERVER_CALLS.labels)
        self._seconds = cache(SERVER_SECONDS.labels)

    @asynccontextmanager
    async def around(self, rpc: Rpc, context: Context) -> AsyncIterator[None]:
        started = time.perf_counter()
        error: BaseException | None = None
        SERVER_IN_FLIGHT.inc()
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            SERVER_IN_FLIGHT.dec()
            self._calls(rpc.method, outcome(context, error)).inc()
            self._seconds(rpc.method).observe(time.perf_counter() - started)
