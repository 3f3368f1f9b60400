"""Builds a new index from the catalogue beside the one in use, then moves the alias."""

from __future__ import annotations

from collections.abc import Sequence

from services.catalog.domain import StoredProduct
from services.catalog.errors import RebuildRunning
from services.catalog.ports import IndexedItem, RebuildProgress, Systems
from shared.telemetry.logs import logger

PAGE = 256

_log = logger("rebuild")


class RebuildIndex:
    """Reads the catalogue by id; changes made meanwhile reach both indexes by the change feed.

    Offers and deletes pass by products that the new index does not hold yet: what changed between reading a page
    and writing it is applied again.
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
                vectors, model_release = await self._systems.encoder.encode(page)
                items = [IndexedItem(product, vector) for product, vector in zip(page, vectors, strict=True)]
                await self._systems.index.upsert(items, model_release, index)
                await self._catch_up(tenant, page)
                done, after = done + len(page), page[-1].product_id
                yield index, done, max(total, done), False
            await self._systems.index.activate(index)
            _log.info("index rebuild done", index=index, products=done)
            yield index, done, done, True

    async def _catch_up(self, tenant: str, page: Sequence[StoredProduct]) -> None:
        now = await self._systems.repository.read(tenant, [product.product_id for product in page], basic=False)
        gone = {product.product_id: product.change_number for product in page if product.product_id not in now}
        pairs = [(product, now[product.product_id]) for product in page if product.product_id in now]
        # Changed contents come by the feed, and must not find their number taken by an offer.
        moved = [
            after
            for before, after in pairs
            if after.change_number != before.change_number and after.content_hash == before.content_hash
        ]
        if moved:
            await self._systems.index.update_offers(moved)
        if gone:
            await self._systems.index.delete(gone)
