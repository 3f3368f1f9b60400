"""Admission: refuses a call at once when too many are running, instead of queueing it until it dies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.errors.base import ResourceExhausted
from shared.errors.reasons import Reason
from shared.server.interceptors.handler import Context, Rpc, RpcInterceptor

_RETRY_AFTER_SECONDS = 0.5


class AdmissionInterceptor(RpcInterceptor):
    """Lets ``limit`` calls run at once; one more gets RESOURCE_EXHAUSTED, reason OVERLOADED."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._running = 0

    @asynccontextmanager
    async def around(self, rpc: Rpc, context: Context) -> AsyncIterator[None]:
        if self._running >= self._limit:
            raise ResourceExhausted(
                f"more than {self._limit} calls in flight",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
                reason=Reason.OVERLOADED,
                metadata={"limit": str(self._limit)},
            )
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
