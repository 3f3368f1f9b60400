"""Events as columns of ``profile.events`` and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.profile.adapters.person_keys import Content
from services.profile.domain.event import Event


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with the numbers that it is stored under."""

    event: Event
    person_no: int
    visitor_no: int | None
    product_nos: Sequence[int]
    event_hash: bytes
    key_no: int
    content: bytes
    """Sealed; see ``person_keys``."""
    rule: str = ""
    """The rule that it broke; empty: it counts."""


def insert_arguments(tenant: str, rows: Sequence[StoredEvent]) -> dict[str, Any]:
    """Arguments of ``insert_events`` and ``insert_quarantine``. Arrays of a row travel as array literals."""
    events = [row.event for row in rows]
    return {
        "tenant": tenant,
        "person_no": [row.person_no for row in rows],
        "visitor_no": [row.visitor_no for row in rows],
        "product_nos": [_integers(row.product_nos) for row in rows],
        "rule": [row.rule for row in rows],
        "time_us": [event.time_us for event in events],
        "event_type": [event.event_type for event in events],
        "has_user": [bool(event.user_id) for event in events],
        "event_hash": [row.event_hash for row in rows],
        "key_no": [row.key_no for row in rows],
        "content": [row.content for row in rows],
        "quantities": [_integers(event.quantities) for event in events],
        "price_micros": [_prices(event.price_micros) for event in events],
        "price_currencies": [_price_currencies(event) for event in events],
        "currency": [_currency(event) or None for event in events],
        "revenue_micros": [event.revenue_micros for event in events],
        "rating": [event.rating for event in events],
        "attribution_token": [event.attribution_token or None for event in events],
        "category": [event.category or None for event in events],
        "device": [event.device or None for event in events],
    }


EXPORT_COLUMNS = (
    "event_id", "event_type", "time_us", "user_id", "visitor_id", "session_id", "product_ids", "quantities",
    "price_micros", "price_currencies", "currency", "revenue_micros", "transaction_id", "rating", "attribution_token",
    "search_query", "category", "device", "locale", "attributes", "key_no", "content",
)  # fmt: skip
"""Columns of ``export_events`` in order."""


def event_of(row: Sequence[Any], content: Content | None) -> Event:
    """The event of a row with ``EXPORT_COLUMNS``, ids opened; ``content`` None: from before contents were sealed."""
    value = dict(zip(EXPORT_COLUMNS, row, strict=True))
    content = content or _in_clear(value)
    prices = tuple(value["price_micros"] or ())
    currency = value["currency"] or ""
    currencies = tuple(
        "" if price is None else (value["price_currencies"] or [currency] * len(prices))[position]
        for position, price in enumerate(prices)
    )
    return Event(
        event_id=content.event_id,
        event_type=value["event_type"],
        time_us=value["time_us"],
        user_id=value["user_id"] or "",
        visitor_id=value["visitor_id"] or "",
        session_id=content.session_id,
        product_ids=tuple(value["product_ids"]),
        quantities=tuple(value["quantities"]),
        price_micros=prices,
        price_currencies=currencies,
        revenue_micros=value["revenue_micros"],
        revenue_currency="" if value["revenue_micros"] is None else currency,
        transaction_id=content.transaction_id,
        rating=value["rating"],
        attribution_token=value["attribution_token"] or "",
        search_query=content.search_query,
        category=value["category"] or "",
        device=value["device"] or 0,
        locale=content.locale,
        attributes=content.attributes,
    )


def _in_clear(value: dict[str, Any]) -> Content:
    return Content(
        value["event_id"] or "",
        value["session_id"] or "",
        value["transaction_id"] or "",
        value["search_query"] or "",
        value["locale"] or "",
        tuple((name, text) for name, text in value["attributes"] or ()),
    )


def _integers(values: Sequence[int]) -> str:
    """An array literal."""
    return "{" + ",".join(map(str, values)) + "}"


def _prices(values: Sequence[int | None]) -> str | None:
    """An array literal; None without prices."""
    if not values:
        return None
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"


def _currency(event: Event) -> str:
    """The event's currency: of its revenue, else of its first price."""
    return event.revenue_currency or next(filter(None, event.price_currencies), "")


def _price_currencies(event: Event) -> str | None:
    """An array literal of quoted codes where they are not all the event's currency."""
    common = _currency(event)
    pairs = zip(event.price_micros, event.price_currencies, strict=True)
    if all(price is None or currency == common for price, currency in pairs):
        return None
    return "{" + ",".join(f'"{currency}"' for currency in event.price_currencies) + "}"
