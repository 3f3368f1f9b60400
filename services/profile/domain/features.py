"""A person as retrieval and ranking see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from services.profile.domain.history import History
from services.profile.domain.purchases import PurchaseColumns, purchase_columns

MOST_RECENT = 200


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


def features(history: History, most_purchases: int) -> Features:
    """Features of a known person."""
    return Features(known=True, purchases=purchase_columns(history, most_purchases), recent=recent(history))


def recent(history: History) -> tuple[Interaction, ...]:
    """The latest interactions with products, newest first."""
    found: list[Interaction] = []
    for event in history.events:
        for product, quantity in zip(event.products, event.quantities, strict=True):
            found.append(Interaction(history.products[product].product_id, event.event_type, event.time_us, quantity))
            if len(found) == MOST_RECENT:
                return tuple(found)
    return tuple(found)
