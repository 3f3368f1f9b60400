"""Builds a new index from the catalogue beside the one in use, then moves the alias."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from services.catalog.domain import StoredProduct
from services.catalog.errors import RebuildRunning
from services.catalog.ports import IndexedItem, RebuildProgress, Systems
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
                async with aclosing(self._claimed(tenant, [product.product_id for product in page])) as parts:
                    async for products in parts:
                        await self._write(products, index)
                        done += len(products)
                after = page[-1].product_id
                yield index, done, max(total, done), False
            await self._systems.index.activate(index)
            _log.info("index rebuild done", index=index, products=done)
            yield index, done, done, True

    async def _claimed(self, tenant: str, product_ids: Sequence[str]) -> AsyncGenerator[list[StoredProduct], None]:
        """Products as they are once nobody else writes them, in parts, until all were had, but for deleted ones."""
        left = list(product_ids)
        while left:
            changes = await self._systems.feed.claim_products(tenant, left, LEASE_SECONDS)
            if changes:
                try:
                    read = await self._systems.repository.read(
                        tenant, [change.product_id for change in changes], basic=False
                    )
                    yield list(read.values())
                finally:
                    await self._systems.feed.finish(changes)
            had = {change.product_id for change in changes}
            left = [one for one in left if one not in had]
            if left and not changes:
                await asyncio.sleep(_AGAIN_SECONDS)
                left = list(await self._systems.repository.read(tenant, left, basic=True))

    async def _write(self, products: Sequence[StoredProduct], index: str) -> None:
        if not products:
            return
        vectors, model_release = await self._systems.encoder.encode(products)
        items = [IndexedItem(product, vector) for product, vector in zip(products, vectors, strict=True)]
        await self._systems.index.upsert(items, model_release, index)
