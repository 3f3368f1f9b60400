"""Changes some fields of one product."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from services.catalog.domain import NewProduct, StoredProduct, decide_write
from services.catalog.errors import ProductNotFound, StaleOffer
from services.catalog.ports import ProductRepository
from services.catalog.waker import Waker

Merge = Callable[[StoredProduct, datetime], tuple[NewProduct, bool]]
"""Applies a mask to a stored product; says whether it names the offer. Raises InvalidArgument."""


class UpdateProduct:
    """Reads, merges and writes in one transaction."""

    def __init__(self, repository: ProductRepository, waker: Waker) -> None:
        self._repository = repository
        self._waker = waker

    async def __call__(self, tenant: str, product_id: str, merge: Merge) -> StoredProduct:
        """Stores what `merge` makes and returns the product. Raises ProductNotFound, InvalidArgument, StaleOffer."""
        now = datetime.now(UTC)
        async with self._repository.transaction(tenant) as transaction:
            stored = (await transaction.lock([product_id])).get(product_id)
            if stored is None:
                raise ProductNotFound(product_id)
            new, names_offer = merge(stored, now)
            if names_offer and new.offer_after(stored.offer).offer_time < stored.offer.offer_time:
                raise StaleOffer(product_id)
            write, _ = decide_write(new, stored, now)
            if write is None:
                await transaction.confirm({product_id: new.offer.offer_time})
            else:
                await transaction.put([write])
            after = (await transaction.lock([product_id]))[product_id]
        self._waker.wake()
        return after
