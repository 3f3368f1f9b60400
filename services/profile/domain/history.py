"""What is read of one person to make features: who they are and what they did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from services.profile.domain.event import EventType


@dataclass(frozen=True, slots=True)
class Person:
    """Who a request means, and the versions by which an answer made earlier is known to hold still.

    Two numbers when the request names a user and a visitor who has not logged in yet; what they did counts together.
    """

    person_nos: tuple[int, ...]
    versions: tuple[int, ...]
    facts_version: int
    event_count: int
    last_event_time_us: int
    user_id: str = ""


@dataclass(frozen=True, slots=True)
class ProductInfo:
    """What is known of a product. Empty and None where the catalogue has not said."""

    product_id: str
    category: str = ""
    """The path, root first, joined by ` > `."""
    brand: str = ""
    price_micros: int | None = None
    currency: str = ""


class HistoryEvent(NamedTuple):
    """One event; the columns of products are parallel, ``products`` holds positions in ``History.products``."""

    event_no: int
    time_us: int
    event_type: int
    products: Sequence[int] = ()
    quantities: Sequence[int] = ()
    price_micros: Sequence[int | None] | None = None
    currency: str = ""
    revenue_micros: int | None = None
    rating: float | None = None
    session_id: str = ""
    search_query: str = ""
    category: str = ""

    @property
    def is_purchase(self) -> bool:
        """Whether something was bought."""
        return self.event_type == EventType.PURCHASE


@dataclass(frozen=True, slots=True)
class History:
    """A person's events, newest first, within the limits of ``HistoryLimits``."""

    events: tuple[HistoryEvent, ...]
    products: tuple[ProductInfo, ...]


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """How many of the newest events are read."""

    purchases: int = 2_000
    others: int = 2_000
