"""Access log: one line for each finished call. No peer address, no request content: no personal data."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.context.request import current_request_id, current_tenant
from shared.server.interceptors.handler import Context, Rpc, RpcInterceptor
from shared.server.interceptors.outcome import outcome
from shared.telemetry.logs import logger

_log = logger("access")


class AccessLogInterceptor(RpcInterceptor):
    """Logs method, status code, milliseconds, request id and tenant."""

    @asynccontextmanager
    async def around(self, rpc: Rpc, context: Context) -> AsyncIterator[None]:
        started, request_id = time.perf_counter(), current_request_id()
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            _log.info(
                "call",
                method=rpc.method,
                code=outcome(context, error),
                ms=round((time.perf_counter() - started) * 1000, 2),
                request_id=request_id,
                tenant=current_tenant(),
            )
