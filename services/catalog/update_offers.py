"""Changes price and stock of many products."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from services.catalog.domain import Content, OfferChange, ProductWrite, StoredProduct, apply_offer
from services.catalog.ports import ProductRepository
from services.catalog.reading import ContentReader
from services.catalog.waker import Waker


class OfferOutcome(Enum):
    """What became of an offer."""

    STORED = 1
    STALE = 2
    NOT_FOUND = 3


class UpdateOffers:
    """Guards every offer by its own time, so that messages may arrive in any order."""

    def __init__(self, repository: ProductRepository, read_content: ContentReader, waker: Waker) -> None:
        self._repository = repository
        self._read_content = read_content
        self._waker = waker

    async def __call__(self, tenant: str, changes: Sequence[OfferChange]) -> list[OfferOutcome]:
        """Stores `changes`; of several for one product the latest time wins. Raises Unavailable."""
        outcomes: list[OfferOutcome] = []
        writes: dict[str, ProductWrite] = {}
        async with self._repository.transaction(tenant) as transaction:
            stored = await transaction.lock(list({change.product_id for change in changes}))
            for change in changes:
                outcomes.append(self._apply(change, stored.get(change.product_id), writes))
            if writes:
                await transaction.put(list(writes.values()))
        if writes:
            self._waker.wake()
        return outcomes

    def _apply(
        self, change: OfferChange, stored: StoredProduct | None, writes: dict[str, ProductWrite]
    ) -> OfferOutcome:
        if stored is None:
            return OfferOutcome.NOT_FOUND
        before = writes.get(change.product_id)
        offer = apply_offer(change, before.offer if before else stored.offer)
        if offer is None:
            return OfferOutcome.STALE
        content: Content = self._read_content(stored)
        writes[change.product_id] = ProductWrite(content, offer, stored.publish_time, content_changed=False)
        return OfferOutcome.STORED
