"""Metrics: count, duration and number in flight of the calls served."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.server.interceptors.handler import Context, Rpc, RpcInterceptor
from shared.server.interceptors.outcome import outcome
from shared.telemetry.metrics import SERVER_CALLS, SERVER_IN_FLIGHT, SERVER_SECONDS


class MetricsInterceptor(RpcInterceptor):
    """Counts each call under the status code that its client sees."""

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
            SERVER_CALLS.labels(rpc.method, outcome(context, error)).inc()
            SERVER_SECONDS.labels(rpc.method).observe(time.perf_counter() - started)
