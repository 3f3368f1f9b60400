"""The running visit: events without 30 minutes of silence, or with the same session id, up to now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.profile.domain.event import MINUTE_US, EventType
from services.profile.domain.history import History, HistoryEvent

SILENCE_US = 30 * MINUTE_US
MOST_VIEWED = 50


@dataclass(frozen=True, slots=True)
class Session:
    """The running visit as of its latest event."""

    session_id: str
    start_us: int
    last_us: int
    event_count: int
    viewed: tuple[str, ...] = ()
    """Products seen, newest first."""
    cart: tuple[str, ...] = ()
    """Products in the cart: put in and neither taken out nor bought since, in the order put in."""
    last_search_query: str = ""

    def running(self, now_us: int) -> bool:
        """Whether the visit goes on."""
        return now_us - self.last_us <= SILENCE_US


def latest_session(history: History) -> Session | None:
    """The visit of the newest event, running or not; None without events."""
    events = _visit(history.events)
    if not events:
        return None
    oldest_first = events[::-1]
    sent_id = next((event.session_id for event in events if event.session_id), "")
    return Session(
        session_id=sent_id or f"visit-{oldest_first[0].event_no}",
        start_us=oldest_first[0].time_us,
        last_us=events[0].time_us,
        event_count=len(events),
        viewed=_viewed(events, history),
        cart=_cart(oldest_first, history),
        last_search_query=next((event.search_query for event in events if event.search_query), ""),
    )


def _visit(newest_first: Sequence[HistoryEvent]) -> list[HistoryEvent]:
    """The events of the newest visit. A long silence cuts a visit unless both sides name the same one."""
    visit: list[HistoryEvent] = []
    named = ""
    for event in newest_first:
        if visit:
            same = bool(event.session_id) and event.session_id == named
            other = bool(event.session_id and named) and not same
            if other or (not same and visit[-1].time_us - event.time_us > SILENCE_US):
                break
        visit.append(event)
        named = event.session_id or named
    return visit


def _viewed(newest_first: Iterable[HistoryEvent], history: History) -> tuple[str, ...]:
    """Products whose pages were seen, each once."""
    seen: dict[int, None] = {}
    for event in newest_first:
        if event.event_type == EventType.PRODUCT_VIEW:
            seen.update(dict.fromkeys(event.products))
    return tuple(history.products[product].product_id for product in list(seen)[:MOST_VIEWED])


def _cart(oldest_first: Iterable[HistoryEvent], history: History) -> tuple[str, ...]:
    """What is left in the cart."""
    units: dict[int, int] = {}
    for event in oldest_first:
        for product, quantity in zip(event.products, event.quantities, strict=True):
            if event.event_type == EventType.ADD_TO_CART:
                units[product] = units.get(product, 0) + quantity
            elif event.event_type == EventType.REMOVE_FROM_CART:
                units[product] = units.get(product, 0) - quantity
            elif event.event_type == EventType.PURCHASE:
                units.pop(product, None)
            if units.get(product, 1) <= 0:
                del units[product]
    return tuple(history.products[product].product_id for product in units)
