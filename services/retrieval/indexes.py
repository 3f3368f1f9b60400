"""The indexes of all tenants as this process holds them, and how they are kept true."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from services.retrieval.domain.index import IndexInfo, LiveIndex
from services.retrieval.domain.table import ProductTable
from services.retrieval.errors import IndexNotFound
from services.retrieval.ports import ProductIndexes
from shared.context.request import remaining_seconds
from shared.context.waiting import happens
from shared.errors.base import MercatoError, Unavailable
from shared.telemetry.logs import logger
from shared.telemetry.metrics import gauge

PRODUCTS = gauge("retrieval_products", "Products in active indexes, over all tenants.")
VECTOR_BYTES = gauge("retrieval_vector_bytes", "Memory taken by vectors.")
_LONGEST_WAIT_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 5.0
_log = logger("indexes")


@dataclass(frozen=True, slots=True)
class SyncPolicy:
    """Times in seconds, memory in bytes; see the settings of the same names."""

    sync_seconds: float = 5.0
    refresh_seconds: float = 0.0
    vector_memory_bytes: int = 1024**3


@dataclass(slots=True)
class TenantIndexes:
    """A tenant's indexes."""

    active: LiveIndex | None = None
    building: LiveIndex | None = None

    def all(self) -> list[LiveIndex]:
        """The active one first."""
        return [index for index in (self.active, self.building) if index is not None]


@dataclass(slots=True)
class Indexes:
    """Hold `writing` while changing an index or the set of indexes."""

    port: ProductIndexes
    policy: SyncPolicy = field(default_factory=SyncPolicy)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tenants: dict[str, TenantIndexes] = field(default_factory=dict)
    _loaded: asyncio.Event = field(default_factory=asyncio.Event)
    _look: asyncio.Event = field(default_factory=asyncio.Event)
    _doubtful: bool = False

    async def of(self, tenant: str) -> TenantIndexes:
        """A tenant's indexes. Raises Unavailable while they were never read from Milvus."""
        if not self._loaded.is_set():
            left = remaining_seconds()
            wait = _LONGEST_WAIT_SECONDS if left is None else min(_LONGEST_WAIT_SECONDS, left * 0.8)
            if not await happens(self._loaded, wait):
                raise Unavailable("milvus", metadata={"detail": "the indexes are not loaded yet"})
        return self._tenants.setdefault(tenant, TenantIndexes())

    async def current(self, tenant: str) -> TenantIndexes:
        """A tenant's indexes as Milvus has them now, for a write: another replica may have begun or activated one.

        Hold `writing`. Raises Unavailable.
        """
        await self.of(tenant)
        found = await self._tenant(tenant, await self.port.discover(tenant), tidy=False)
        self._tenants[tenant] = found
        return found

    def tenants(self) -> list[str]:
        """Tenants with an index."""
        return list(self._tenants)

    async def named(self, tenant: str, name: str) -> LiveIndex:
        """A tenant's index by name. Raises IndexNotFound."""
        for index in (await self.of(tenant)).all():
            if index.info.name == name:
                return index
        raise IndexNotFound(name)

    def doubt(self) -> None:
        """Says that Milvus failed: what it holds is compared with memory when it is back."""
        self._doubtful = True
        self._look.set()

    def fresh(self, info: IndexInfo) -> LiveIndex:
        """An index with nothing in memory yet."""
        return LiveIndex(info, ProductTable(info.dimension, self.policy.vector_memory_bytes))

    async def run(self) -> None:
        """Keeps the indexes true until cancelled."""
        refreshed, pause = time.monotonic(), 0.2
        while True:
            every = self.policy.refresh_seconds
            again = bool(every) and time.monotonic() - refreshed >= every
            try:
                await self.sync(read_again=again)
                refreshed, pause = time.monotonic() if again else refreshed, 0.2
            except MercatoError as error:
                if not self._doubtful:
                    _log.warning("indexes cannot be read", error=str(error))
                self._doubtful = True
                pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
            await self._rest(pause if self._doubtful else self.policy.sync_seconds)

    async def sync(self, *, read_again: bool = False) -> None:
        """Compares with Milvus once: new indexes are read, lost ones forgotten, the active ones noted."""
        async with self.writing:
            found = await self.port.discover()
            if not found and not self._tenants:
                self._finish()
                return
            tenants: dict[str, TenantIndexes] = {}
            for tenant in {info.tenant for info in found} | self._tenants.keys():
                infos = [info for info in found if info.tenant == tenant]
                tenants[tenant] = await self._tenant(tenant, infos, read_again=read_again)
            self._tenants = tenants
            self._finish()

    async def _tenant(
        self, tenant: str, infos: list[IndexInfo], *, read_again: bool = False, tidy: bool = True
    ) -> TenantIndexes:
        """The indexes in memory. ``tidy``: drops what an activation or a making left that was cut off."""
        held = {index.info.name: index for index in self._tenants.get(tenant, TenantIndexes()).all()}
        result = TenantIndexes()
        for info in sorted(infos, key=lambda one: one.number):
            if not info.active and result.active is None and any(one.active for one in infos):
                if tidy:
                    await self.port.drop(info)  # older than the active one: left by an activation that was cut off
                continue
            try:
                index = await self._held(info, held.get(info.name), read_again=read_again)
            except Unavailable:
                if info.active:
                    raise
                if not tidy:
                    continue
                await self.port.check()
                # Milvus answers, and this one cannot be read: whoever made it was cut off before it was whole.
                _log.warning("an unfinished index is dropped", tenant=tenant, index=info.name)
                await self.port.drop(info)
                continue
            if info.active:
                result.active = index
            else:
                result.building = index
        lost = held.keys() - {info.name for info in infos}
        if lost:
            _log.warning("indexes are gone", tenant=tenant, indexes=sorted(lost))
        return result

    async def _held(self, info: IndexInfo, index: LiveIndex | None, *, read_again: bool) -> LiveIndex:
        """The index in memory; read when it is new, when asked to, and when Milvus does not hold what we think."""
        if index is not None and not read_again:
            index.info = info
            if not self._doubtful:
                return index
            if await self._same(index):
                return index
        return await self.load(info)

    async def _same(self, index: LiveIndex) -> bool:
        await self.port.open(index.info)
        return await self.port.count(index.info) == len(index.table)

    async def load(self, info: IndexInfo) -> LiveIndex:
        """Reads an index into memory."""
        began, index = time.monotonic(), self.fresh(info)
        await self.port.open(info)
        fits = await self.port.count(info) * info.dimension * 4 <= self.policy.vector_memory_bytes
        async for page in self.port.scan(info, vectors=fits):
            index.table.put(page)
        seconds = round(time.monotonic() - began, 2)
        _log.info("index read", index=info.name, products=len(index.table), seconds=seconds)
        return index

    def _finish(self) -> None:
        self._doubtful = False
        self._loaded.set()
        active = [one.active for one in self._tenants.values() if one.active]
        PRODUCTS.set(sum(len(index.table) for index in active))
        VECTOR_BYTES.set(sum(i.table.vectors.reserved_bytes for one in self._tenants.values() for i in one.all()))

    async def _rest(self, seconds: float) -> None:
        self._look.clear()
        await happens(self._look, seconds)
