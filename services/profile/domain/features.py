"""A person as retrieval and ranking see them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from services.profile.domain.event import EventType
from services.profile.domain.history import History
from services.profile.domain.purchases import PurchaseColumns, purchase_columns

MOST_RECENT = 200
BROWSING = frozenset(
    {EventType.PRODUCT_VIEW, EventType.CLICK, EventType.ADD_TO_CART, EventType.REMOVE_FROM_CART, EventType.RATE}
    | {EventType.ADD_TO_WISH_LIST}
)
"""What a person did with a product. Impressions are what the shop did, and would push everything else out; purchases
have columns of their own."""


class Interaction(NamedTuple):
    """One product of one event."""

    product_id: str
    event_type: int
    time_us: int
    quantity: int


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Features:
    """What was done by one person, without any moment that it is looked at from. Compared by identity."""

    known: bool = False
    purchases: PurchaseColumns = field(default_factory=PurchaseColumns)
    recent: tuple[Interaction, ...] = ()
    """Of the event types in `BROWSING`."""


def features(history: History, most_purchases: int) -> Features:
    """Features of a known person."""
    purchases = purchase_columns(history, most_purchases)
    return Features(known=True, purchases=purchases, recent=recent(history, BROWSING))


def recent(history: History, kinds: Collection[int] | None = None) -> tuple[Interaction, ...]:
    """The latest interactions with products, newest first; of these event types, or of all."""
    found: list[Interaction] = []
    for event in history.events:
        if kinds is not None and event.event_type not in kinds:
            continue
        for product, quantity in zip(event.products, event.quantities, strict=True):
            found.append(Interaction(history.products[product].product_id, event.event_type, event.time_us, quantity))
            if len(found) == MOST_RECENT:
                return tuple(found)
    return tuple(found)
