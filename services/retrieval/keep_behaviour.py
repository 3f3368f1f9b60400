"""Gives products that a release's behaviour model never saw their vectors, made of text, category and brand."""

from __future__ import annotations

import asyncio

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.behaviour import BehaviourVectors
from services.retrieval.domain.index import LiveIndex
from services.retrieval.indexes import Indexes
from services.retrieval.nearest import Nearest
from services.retrieval.ports import BehaviourEncoder, BehaviourProduct, Releases
from shared.context.request import use_tenant
from shared.errors.base import MercatoError
from shared.naming.category_path import joined
from shared.telemetry.logs import logger

BATCH = 500
_log = logger("behaviour")


class KeepBehaviour:
    """Runs beside the servicer. What fails is tried again; other channels bring the products meanwhile."""

    def __init__(
        self, indexes: Indexes, releases: Releases, nearest: Nearest, encoder: BehaviourEncoder, seconds: float
    ) -> None:
        self._indexes = indexes
        self._releases = releases
        self._nearest = nearest
        self._encoder = encoder
        self._seconds = seconds

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            for tenant in self._indexes.tenants():
                try:
                    with use_tenant(tenant):
                        await self.look(tenant)
                except MercatoError as error:
                    _log.info("new products have no behaviour vectors yet", tenant=tenant, error=str(error))
            await asyncio.sleep(self._seconds)

    async def look(self, tenant: str) -> int:
        """Fills every release held; returns the vectors made. Raises Unavailable, FailedPrecondition."""
        index = (await self._indexes.of(tenant)).active
        made = 0
        for release_id in self._releases.held(tenant):
            lists = self._releases.of(tenant, release_id)
            if index is not None and lists is not None and lists.behaviour is not None:
                made += await self._fill(index, release_id, lists.behaviour)
        return made

    async def _fill(self, index: LiveIndex, release_id: str, behaviour: BehaviourVectors) -> int:
        table = index.table
        live = np.flatnonzero(table.live)
        missing = np.array([row for row in live.tolist() if behaviour.place(table.ids[row]) < 0], np.int64)
        for start in range(0, len(missing), BATCH):
            rows = missing[start : start + BATCH]
            products = await self._products(index, rows)
            behaviour.add([one.product_id for one in products], await self._encoder.encode(release_id, products))
        if len(missing):
            _log.info("new products have behaviour vectors", release=release_id, products=len(missing))
        return len(missing)

    async def _products(self, index: LiveIndex, rows: npt.NDArray[np.int64]) -> list[BehaviourProduct]:
        vectors = await self._nearest.vectors(index, rows)
        found = [index.table.product(row) for row in rows.tolist()]
        return [
            BehaviourProduct(one.product_id, joined(one.category_path), one.brand, vector)
            for one, vector in zip(found, vectors, strict=True)
        ]
