"""Keeps every product's vector by every release that is held: made for products new in the shop, stored in Milvus."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import numpy.typing as npt

from services.retrieval.cold_vectors import ColdVectors
from services.retrieval.domain.behaviour import BehaviourIndex, BehaviourVectors
from services.retrieval.domain.index import LiveIndex
from services.retrieval.domain.table import ProductTable
from services.retrieval.indexes import Indexes
from services.retrieval.ports import Releases
from services.retrieval.store_behaviour import StoreBehaviour
from shared.context.request import use_tenant
from shared.errors.base import MercatoError
from shared.telemetry.logs import logger
from shared.telemetry.metrics import gauge

HELD_BYTES = gauge("retrieval_behaviour_bytes", "Memory taken by behaviour vectors of the releases held.")
UNSTORED = gauge("retrieval_behaviour_unstored", "Behaviour vectors that Milvus does not hold yet.")
CHECK_SECONDS = 60.0
"""What Milvus holds is looked at this often also where nothing failed."""
_ROWS_AT_ONCE = 50_000
_log = logger("behaviour")


class KeepBehaviour:
    """Runs beside the servicer. What fails is tried again; other channels bring the products meanwhile."""

    def __init__(
        self, indexes: Indexes, releases: Releases, cold: ColdVectors, store: StoreBehaviour, seconds: float
    ) -> None:
        self._indexes = indexes
        self._releases = releases
        self._cold = cold
        self._store = store
        self._seconds = seconds
        self._looked: dict[tuple[str, str], tuple[ProductTable, BehaviourVectors, int]] = {}
        """Rows, from the first on, that have a vector by a release if they are products."""

    async def run(self) -> None:
        """Looks until cancelled."""
        checked = time.monotonic()
        while True:
            again = time.monotonic() - checked >= CHECK_SECONDS
            checked = time.monotonic() if again else checked
            for tenant in self._indexes.tenants():
                with use_tenant(tenant):
                    await self._keep_tenant(tenant, check=again)
            self._measure()
            await asyncio.sleep(self._seconds)

    async def look(self, tenant: str, *, check: bool = False) -> int:
        """Keeps every release held; returns the vectors made. Raises what failed last, after the others were kept."""
        index, made, failed = (await self._indexes.of(tenant)).active, 0, None
        held = self._held(tenant)
        self._looked = {key: one for key, one in self._looked.items() if key[0] != tenant or key[1] in held}
        for release_id, behaviour in held.items():
            try:
                stored = BehaviourIndex(tenant, release_id, behaviour.dimension)
                made += await self._keep(stored, behaviour, index, check=check)
            except MercatoError as error:
                failed = error
        if failed is not None:
            raise failed
        return made

    async def _keep_tenant(self, tenant: str, *, check: bool) -> None:
        try:
            await self.look(tenant, check=check)
            if check:
                await self._store.tidy(tenant)
        except MercatoError as error:
            _log.info("behaviour vectors are not all in place", tenant=tenant, error=str(error))

    async def _keep(
        self, stored: BehaviourIndex, behaviour: BehaviourVectors, index: LiveIndex | None, *, check: bool
    ) -> int:
        failed, made = None, 0
        try:
            if check or behaviour.doubtful:
                await self._store.check(stored, behaviour)
            await self._store.write(stored, behaviour)
        except MercatoError as error:
            failed = error  # products new in the shop do not wait for Milvus where memory takes their vectors
        if index is not None and (behaviour.held is not None or not behaviour.doubtful):
            made = await self._fill(index, stored, behaviour)
        if failed is not None:
            raise failed
        if made:
            await self._store.write(stored, behaviour)
        return made

    async def _fill(self, index: LiveIndex, stored: BehaviourIndex, behaviour: BehaviourVectors) -> int:
        key, size = (stored.tenant, stored.release_id), index.table.size
        table, vectors, first = self._looked.get(key, (None, None, 0))
        if table is not index.table or vectors is not behaviour:
            first = 0
        made = 0
        for start in range(first, size, _ROWS_AT_ONCE):
            rows = _missing(index.table, behaviour, start, min(size, start + _ROWS_AT_ONCE))
            await self._cold.give(index, stored, behaviour, rows)
            made += len(rows)
            await asyncio.sleep(0)
        self._looked[key] = (index.table, behaviour, size)
        if made:
            _log.info("new products have behaviour vectors", release=stored.release_id, products=made)
        return made

    def _held(self, tenant: str) -> dict[str, BehaviourVectors]:
        lists = {release_id: self._releases.of(tenant, release_id) for release_id in self._releases.held(tenant)}
        return {key: one.behaviour for key, one in lists.items() if one is not None and one.behaviour is not None}

    def _measure(self) -> None:
        held = [one for tenant in self._indexes.tenants() for one in self._held(tenant).values()]
        HELD_BYTES.set(sum(one.held_bytes for one in held))
        UNSTORED.set(sum(len(one) - one.stored for one in held))


def _missing(table: ProductTable, behaviour: BehaviourVectors, first: int, end: int) -> npt.NDArray[np.int64]:
    live = np.flatnonzero(table.live[first:end]) + first
    return np.array([row for row in live.tolist() if behaviour.place(table.ids[row]) < 0], np.int64)
