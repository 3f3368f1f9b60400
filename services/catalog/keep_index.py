"""Sees to it that every tenant has an index that fits the encoder's model and is not lost."""

from __future__ import annotations

import asyncio

from services.catalog.errors import RebuildRunning
from services.catalog.ports import Systems
from services.catalog.rebuild_index import RebuildIndex
from services.catalog.waker import Waker
from shared.server.tenant_checks import keep_checking
from shared.telemetry.logs import logger

_log = logger("keep_index")


class IndexKeeper:
    """Runs beside the workers until cancelled."""

    def __init__(self, systems: Systems, rebuild: RebuildIndex, waker: Waker, check_seconds: float) -> None:
        self._systems = systems
        self._rebuild = rebuild
        self._waker = waker
        self._check_seconds = check_seconds
        self._seen: set[str] = set()
        self._checking = asyncio.Lock()

    async def run(self) -> None:
        """Checks all tenants until cancelled."""
        await keep_checking(self._tenants, self.check, self._check_seconds)

    async def _tenants(self) -> list[str]:
        """Those with products; the default one before there are any, so that its index is there for the first."""
        return await self._systems.repository.tenants() or ["default"]

    async def ensure(self, tenant: str) -> None:
        """Checks a tenant that this process has not seen yet, so that a new shop need not wait. Raises Unavailable."""
        if tenant in self._seen:
            return  # without the lock: a check that rebuilds holds it for long
        async with self._checking:
            if tenant not in self._seen:
                await self._check(tenant)

    async def check(self, tenant: str) -> None:
        """Makes the first index; fills one that was lost; rebuilds one of another model. Raises Unavailable."""
        async with self._checking:
            await self._check(tenant)

    async def _check(self, tenant: str) -> None:
        model = await self._systems.encoder.model()
        state = await self._systems.index.state()
        if not state.active:
            index = await self._systems.index.begin(model, first_only=True)
            _log.info("first index made", index=index)
            await self._note_all(tenant)
        elif state.model_release != model.release:
            _log.info("encoder's model changed", model=model.release, index_model=state.model_release)
            await self._rebuild_now(tenant)
        elif state.product_count == 0:
            stored = await self._systems.repository.state(tenant)
            if stored.product_count > stored.unindexed_count:
                _log.warning("index is empty, filling it", products=stored.product_count)
                await self._note_all(tenant)
        self._seen.add(tenant)

    async def _note_all(self, tenant: str) -> None:
        await self._systems.feed.note_all(tenant)
        self._waker.wake()

    async def _rebuild_now(self, tenant: str) -> None:
        try:
            async for _ in self._rebuild(tenant):
                pass
        except RebuildRunning:
            return
