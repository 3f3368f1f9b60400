"""The running visit."""

from services.profile.domain.event import MINUTE_US, EventType
from services.profile.domain.history import History, HistoryEvent, ProductInfo
from services.profile.domain.sessions import Session, latest_session
from tests.fakes.profile.events import NOW_US

PRODUCTS = tuple(ProductInfo(name) for name in "abc")


def did(kind: EventType, *products: int, ago: int, units: int = 1, **fields: object) -> HistoryEvent:
    """``ago``: minutes before now; the event's number tells its time."""
    quantities = (units,) * len(products)
    return HistoryEvent(1_000 - ago, NOW_US - ago * MINUTE_US, kind, products, quantities, **fields)  # type: ignore[arg-type]


def session(*oldest_first: HistoryEvent) -> Session:
    found = latest_session(History(oldest_first[::-1], PRODUCTS))
    assert found is not None
    return found


def test_silence_of_half_an_hour_cuts_and_ends() -> None:
    found = session(
        did(EventType.PRODUCT_VIEW, 0, ago=100),
        did(EventType.PRODUCT_VIEW, 1, ago=69),
        did(EventType.PRODUCT_VIEW, 2, ago=39),
        did(EventType.PRODUCT_VIEW, 1, ago=29),
    )
    assert (found.event_count, found.viewed, found.session_id) == (3, ("b", "c"), "visit-931")
    assert found.running(NOW_US)
    assert not found.running(NOW_US + 2 * MINUTE_US)


def test_a_sent_id_holds_a_visit_together_and_apart() -> None:
    found = session(
        did(EventType.PRODUCT_VIEW, 0, ago=50, session_id="s1"),
        did(EventType.PRODUCT_VIEW, 1, ago=49, session_id="s2"),
        did(EventType.PRODUCT_VIEW, 2, ago=1, session_id="s2"),
    )
    assert (found.session_id, found.event_count, found.viewed) == ("s2", 2, ("c", "b"))


def test_the_cart_follows_what_is_put_in_taken_out_and_bought() -> None:
    found = session(
        did(EventType.ADD_TO_CART, 0, ago=9, units=2),
        did(EventType.ADD_TO_CART, 1, ago=8),
        did(EventType.ADD_TO_CART, 2, ago=7),
        did(EventType.REMOVE_FROM_CART, 0, ago=6),
        did(EventType.REMOVE_FROM_CART, 1, ago=5, units=3),
        did(EventType.PURCHASE, 2, ago=4),
        did(EventType.ADD_TO_CART, 1, ago=3),
    )
    assert found.cart == ("a", "b")


def test_the_latest_search_counts() -> None:
    found = session(
        did(EventType.SEARCH, ago=3, search_query="milk"),
        did(EventType.SEARCH, ago=2, search_query="bread"),
        did(EventType.HOME_PAGE_VIEW, ago=1),
    )
    assert found.last_search_query == "bread"


def test_no_events_no_visit() -> None:
    assert latest_session(History((), ())) is None
