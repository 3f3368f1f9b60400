"""A person as retrieval and ranking see them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from services.profile.domain.affinities import Affinities, affinities
from services.profile.domain.history import History
from services.profile.domain.purchases import PurchaseColumns, purchase_columns
from services.profile.domain.sessions import Session, latest_session

MOST_RECENT = 200


class Interaction(NamedTuple):
    """One product of one event."""

    product_id: str
    event_type: int
    time_us: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Features:
    """Everything known of one person, as of ``affinities.time_us``."""

    known: bool = False
    purchases: PurchaseColumns = field(default_factory=PurchaseColumns)
    recent: tuple[Interaction, ...] = ()
    affinities: Affinities = field(default_factory=lambda: Affinities(0))
    session: Session | None = None

    def as_of(self, now_us: int) -> Features:
        """The same person later, nothing having happened."""
        running = self.session is not None and self.session.running(now_us)
        return replace(self, affinities=self.affinities.faded(now_us), session=self.session if running else None)


def features(history: History, now_us: int, most_purchases: int) -> Features:
    """Features of a known person. The session may be over: ``as_of`` decides."""
    return Features(
        known=True,
        purchases=purchase_columns(history, most_purchases),
        recent=recent(history),
        affinities=affinities(history, now_us),
        session=latest_session(history),
    )


def recent(history: History) -> tuple[Interaction, ...]:
    """The latest interactions with products, newest first."""
    found: list[Interaction] = []
    for event in history.events:
        for product, quantity in zip(event.products, event.quantities, strict=True):
            found.append(Interaction(history.products[product].product_id, event.event_type, event.time_us, quantity))
            if len(found) == MOST_RECENT:
                return tuple(found)
    return tuple(found)
