"""Products as the catalogue keeps them, and the rules of offers. No input or output."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, IntEnum


class Availability(IntEnum):
    """Whether a product can be bought; numbers as in the contract."""

    IN_STOCK = 1
    OUT_OF_STOCK = 2
    PREORDER = 3
    BACKORDER = 4

    @property
    def buyable(self) -> bool:
        """Whether a customer can order it now."""
        return self is not Availability.OUT_OF_STOCK


@dataclass(frozen=True, slots=True)
class Price:
    """Money: whole units, billionths of a unit, ISO 4217 code."""

    units: int
    nanos: int
    currency_code: str

    @property
    def micros(self) -> int:
        """Millionths of a unit."""
        return self.units * 1_000_000 + self.nanos // 1000


@dataclass(frozen=True, slots=True)
class Offer:
    """Price and stock at a time in the merchant's system. None: unknown."""

    price: Price | None
    availability: Availability
    stock: int | None
    offer_time: datetime

    def same_terms(self, other: Offer) -> bool:
        """Whether customers see the same."""
        return replace(self, offer_time=other.offer_time) == other


@dataclass(frozen=True, slots=True)
class Content:
    """What a product is. `basic` and `details` are opaque here; converters make and read them."""

    product_id: str
    basic: bytes
    details: bytes
    category_path: tuple[str, ...]
    brand: str

    @property
    def content_hash(self) -> bytes:
        """Equal for equal content."""
        return hashlib.blake2b(len(self.basic).to_bytes(4) + self.basic + self.details, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class NewProduct:
    """A product as it was sent. Without `publish_time` the first write counts."""

    content: Content
    offer: Offer
    publish_time: datetime | None
    dated: bool
    """Whether the sender said when the offer was true; otherwise it is of now, and newer than whatever is stored."""

    def offer_after(self, stored: Offer) -> Offer:
        """The offer, not older than the stored one where nobody gave it a time: clocks jump, and processes differ."""
        if self.dated or self.offer.offer_time >= stored.offer_time:
            return self.offer
        return replace(self.offer, offer_time=stored.offer_time)


@dataclass(frozen=True, slots=True)
class StoredProduct:
    """A product as it is stored."""

    product_id: str
    basic: bytes
    details: bytes
    content_hash: bytes
    offer: Offer
    publish_time: datetime
    create_time: datetime
    update_time: datetime
    change_number: int


@dataclass(frozen=True, slots=True)
class ProductWrite:
    """A product to be stored. `content_changed` False: price and stock alone, which needs no new vector."""

    content: Content
    offer: Offer
    publish_time: datetime
    content_changed: bool


class WriteOutcome(Enum):
    """What a write did."""

    CREATED = 1
    UPDATED = 2
    UNCHANGED = 3


@dataclass(frozen=True, slots=True)
class OfferChange:
    """A change of price and stock; what is None stays."""

    product_id: str
    price: Price | None
    availability: Availability | None
    stock: int | None
    offer_time: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """What others derive interests from."""

    product_id: str
    category_path: tuple[str, ...]
    brand: str
    price: Price | None


@dataclass(frozen=True, slots=True)
class Change:
    """A product that waits for the index."""

    tenant: str
    product_id: str
    number: int
    content: bool
    attempts: int
    lease_until: datetime
    """Until when nobody else writes this product; tells claims apart."""
    waited_s: float = 0.0
    """Since the change was noted, when it was claimed."""


@dataclass(frozen=True, slots=True)
class CatalogState:
    """How much is stored and how far the index is behind."""

    product_count: int
    unindexed_count: int
    oldest_change_age_s: float


def decide_write(
    new: NewProduct, stored: StoredProduct | None, now: datetime
) -> tuple[ProductWrite | None, WriteOutcome]:
    """What to store of an imported product, given what is stored; None: nothing.

    An offer that is older than the stored one does not change it; the content is taken anyway.
    """
    if stored is None:
        return ProductWrite(new.content, new.offer, new.publish_time or now, True), WriteOutcome.CREATED
    offer = new.offer_after(stored.offer)
    if offer.offer_time < stored.offer.offer_time:
        offer = stored.offer
    publish_time = new.publish_time or stored.publish_time
    content_changed = new.content.content_hash != stored.content_hash or publish_time != stored.publish_time
    if not content_changed and offer.same_terms(stored.offer):
        return None, WriteOutcome.UNCHANGED
    return ProductWrite(new.content, offer, publish_time, content_changed), WriteOutcome.UPDATED


def apply_offer(change: OfferChange, stored: Offer) -> Offer | None:
    """The offer after a change; None when a newer one is stored."""
    if change.offer_time < stored.offer_time:
        return None
    return Offer(
        price=stored.price if change.price is None else change.price,
        availability=stored.availability if change.availability is None else change.availability,
        stock=stored.stock if change.stock is None else change.stock,
        offer_time=change.offer_time,
    )
