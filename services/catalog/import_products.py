"""Stores one batch of products."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from services.catalog.domain import NewProduct, ProductWrite, StoredProduct, WriteOutcome, decide_write
from services.catalog.ports import ProductRepository
from services.catalog.waker import Waker


class ImportProducts:
    """One transaction a batch: products and their changes, or nothing."""

    def __init__(self, repository: ProductRepository, waker: Waker) -> None:
        self._repository = repository
        self._waker = waker

    async def __call__(self, tenant: str, products: Sequence[NewProduct]) -> list[WriteOutcome]:
        """Stores `products` in order; of several with one id the last one stays. Raises Unavailable."""
        now = datetime.now(UTC)
        ids = {product.content.product_id for product in products}
        writes: dict[str, ProductWrite] = {}
        confirmed: dict[str, datetime] = {}
        outcomes = []
        async with self._repository.transaction(tenant) as transaction:
            stored = await transaction.lock(list(ids))
            for product in products:
                product_id = product.content.product_id
                write, outcome = decide_write(
                    product, _pending(writes.get(product_id), stored.get(product_id), now), now
                )
                outcomes.append(outcome)
                if write is None:
                    time = product.offer.offer_time
                    confirmed[product_id] = max(time, confirmed.get(product_id, time))
                else:
                    before = writes.get(product_id)
                    changed = write.content_changed or (before is not None and before.content_changed)
                    writes[product_id] = ProductWrite(write.content, write.offer, write.publish_time, changed)
            if confirmed:
                await transaction.confirm(confirmed)
            if writes:
                await transaction.put(list(writes.values()))
        if writes:
            self._waker.wake()
        return outcomes


def _pending(write: ProductWrite | None, stored: StoredProduct | None, now: datetime) -> StoredProduct | None:
    """The product as an earlier item of the same batch leaves it."""
    if write is None:
        return stored
    content = write.content
    created = stored.create_time if stored else now
    return StoredProduct(
        content.product_id,
        content.basic,
        content.details,
        content.content_hash,
        write.offer,
        write.publish_time,
        created,
        now,
        0,
    )
