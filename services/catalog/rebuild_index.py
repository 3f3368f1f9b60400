"""Builds a new index from the catalogue beside the one in use, then moves the alias."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.catalog.domain import StoredProduct
from services.catalog.encoded import write_encoded
from services.catalog.errors import RebuildRunning
from services.catalog.ports import RebuildProgress, Systems
from shared.telemetry.logs import logger

PAGE = 256
LEASE_SECONDS = 120.0
"""Longest time for a page."""
_AGAIN_SECONDS = 0.1

_log = logger("rebuild")


class RebuildIndex:
    """Reads the catalogue by id and claims each page like a worker, so that no two write a product at once; changes
    made meanwhile reach both indexes by the change feed.
    """

    def __init__(self, systems: Systems) -> None:
        self._systems = systems

    async def __call__(self, tenant: str) -> RebuildProgress:
        """Streams index, products written, all products, whether it is active. Raises RebuildRunning, Unavailable."""
        async with self._systems.feed.rebuild_lock(tenant) as held:
            if not held:
                raise RebuildRunning
            total = (await self._systems.repository.state(tenant)).product_count
            index = await self._systems.index.begin(await self._systems.encoder.model())
            _log.info("index rebuild began", index=index, products=total)
            yield index, 0, total, False
            done, after = 0, ""
            while page := await self._systems.repository.list_after(tenant, after, "", PAGE):
                done += await self._write_page(tenant, page, index)
                after = page[-1].product_id
                yield index, done, max(total, done), False
            await self._systems.index.activate(index)
            _log.info("index rebuild done", index=index, products=done)
            yield index, done, done, True

    async def _write_page(self, tenant: str, page: Sequence[StoredProduct], index: str) -> int:
        """Writes products, as they are once nobody else writes them. Returns how many: deleted ones are left out."""
        done, left = 0, {product.product_id: product for product in page}
        while left:
            changes = await self._systems.feed.claim_products(tenant, list(left), LEASE_SECONDS)
            if not changes:
                await asyncio.sleep(_AGAIN_SECONDS)
                left = dict(await self._systems.repository.read(tenant, list(left), basic=False))
                continue
            try:
                products = await self._as_claimed(tenant, [(left.pop(one.product_id), one.number) for one in changes])
                await write_encoded(self._systems, products, index)
            finally:
                await self._systems.feed.finish(changes)
            done += len(products)
        return done

    async def _as_claimed(self, tenant: str, claimed: Sequence[tuple[StoredProduct, int]]) -> list[StoredProduct]:
        """The products; those that changed between their reading and the claim are read again."""
        moved = [product.product_id for product, number in claimed if product.change_number != number]
        again = await self._systems.repository.read(tenant, moved, basic=False) if moved else {}
        return [product for product, number in claimed if product.change_number == number] + list(again.values())
