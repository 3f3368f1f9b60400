"""What one person did. Times are microseconds since 1970, UTC; money is millionths of a unit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
DAY_US = 86_400 * SECOND_US


class EventType(IntEnum):
    """``mercato.gateway.v1.UserEventType``; a test proves that they agree."""

    HOME_PAGE_VIEW = 1
    CATEGORY_VIEW = 2
    PRODUCT_VIEW = 3
    SEARCH = 4
    IMPRESSION = 5
    CLICK = 6
    ADD_TO_CART = 7
    REMOVE_FROM_CART = 8
    PURCHASE = 9
    RATE = 10
    ADD_TO_WISH_LIST = 11


@dataclass(frozen=True, slots=True)
class Event:
    """One valid event. Empty text and None mean "not given". The columns of products are parallel."""

    event_id: str
    event_type: int
    time_us: int
    user_id: str = ""
    visitor_id: str = ""
    session_id: str = ""
    product_ids: tuple[str, ...] = ()
    quantities: tuple[int, ...] = ()
    price_micros: tuple[int | None, ...] = ()
    """Empty when no product has a price."""
    price_currencies: tuple[str, ...] = ()
    revenue_micros: int | None = None
    revenue_currency: str = ""
    transaction_id: str = ""
    rating: float | None = None
    attribution_token: str = ""
    search_query: str = ""
    category: str = ""
    device: int = 0
    locale: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How far an event's time may be from now."""

    oldest_days: int = 760
    ahead_seconds: int = 300

    def broken_by(self, time_us: int, now_us: int) -> str:
        """The limit that ``time_us`` breaks, for people; empty when it breaks none."""
        if time_us < now_us - self.oldest_days * DAY_US:
            return f"{self.oldest_days} days ago"
        if time_us > now_us + self.ahead_seconds * SECOND_US:
            return f"{self.ahead_seconds} seconds ahead"
        return ""


class Outcome(Enum):
    """What became of one valid event."""

    STORED = "stored"
    QUARANTINED = "quarantined"
    DUPLICATE = "duplicate"
    ERASED = "erased"
    """From before its person was erased; not stored."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch of valid events."""

    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    """Of ``accepted``."""
