"""Charges every call to its caller's quotas, after authentication and before the content is looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.gateway.access.caller import OPEN, current_caller
from services.gateway.access.table import rule_of
from services.gateway.limits.quota import Prices
from services.gateway.limits.quotas import Payer, Quotas
from shared.context.request import current_tenant
from shared.server.interceptors.handler import Context, Rpc, RpcInterceptor


class QuotaInterceptor(RpcInterceptor):
    """RESOURCE_EXHAUSTED, reason RATE_LIMITED, with a delay; streams are slowed down to the quota instead."""

    def __init__(self, quotas: Quotas, prices: Prices) -> None:
        super().__init__()
        self._quotas = quotas
        self._prices = prices

    @asynccontextmanager
    async def around(self, rpc: Rpc, context: Context) -> AsyncIterator[None]:
        payer, rule = _payer(), rule_of(rpc.method)
        with self._quotas.running(payer):
            await self._quotas.charge(payer, self._prices.of_call(rule.scope) if rule else 1.0)
            yield

    def incoming(self, rpc: Rpc, request: Any) -> Any:
        if rpc.request_streaming:
            return self._slowed(_payer(), request)
        self._quotas.add(_payer(), self._prices.of_items(request))
        return request

    async def _slowed(self, payer: Payer, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The messages of a stream, each when there are tokens for its items."""
        async for request in requests:
            if cost := self._prices.of_items(request):
                await self._quotas.wait(payer, cost)
            yield request


def _payer() -> Payer:
    """A suite without keys knows no callers: only tenants have quotas there."""
    actor = current_caller().actor
    return Payer(current_tenant(), "" if actor == OPEN.actor else actor)
