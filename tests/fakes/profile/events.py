"""Events for tests."""

from __future__ import annotations

from itertools import count
from typing import Any

from services.profile.domain.event import DAY_US, MINUTE_US, SECOND_US, Event, EventType

NOW_US = 1_800_000_000 * SECOND_US
"""A Friday, 08:00 UTC."""
_numbers = count()

__all__ = ["DAY_US", "MINUTE_US", "NOW_US", "SECOND_US", "event", "purchase", "view"]


def event(kind: EventType, *products: str, at: int = NOW_US, **fields: Any) -> Event:
    """An event with an id of its own unless one is given; each product once."""
    fields.setdefault("event_id", f"e-{next(_numbers)}")
    fields.setdefault("quantities", (1,) * len(products))
    return Event(event_type=kind, time_us=at, product_ids=products, **fields)


def view(product: str, *, at: int = NOW_US, **fields: Any) -> Event:
    """A product page seen."""
    return event(EventType.PRODUCT_VIEW, product, at=at, quantities=(0,), **fields)


def purchase(*products: str, at: int = NOW_US, price: int = 3_500_000, **fields: Any) -> Event:
    """Products bought for ``price`` millionths of a dollar each."""
    fields.setdefault("price_micros", (price,) * len(products))
    fields.setdefault("price_currencies", ("USD",) * len(products))
    fields.setdefault("revenue_micros", price * len(products))
    fields.setdefault("revenue_currency", "USD")
    return event(EventType.PURCHASE, *products, at=at, **fields)
