"""One household looks around on the web just now, so that the demo has a running visit."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from mercato.gateway.v1.user_event_pb2 import (
    DEVICE_TYPE_DESKTOP,
    USER_EVENT_TYPE_ADD_TO_CART,
    USER_EVENT_TYPE_HOME_PAGE_VIEW,
    USER_EVENT_TYPE_PRODUCT_VIEW,
    USER_EVENT_TYPE_SEARCH,
    EventProduct,
    UserEvent,
    UserEventType,
)

from services.cli.demo.shop import Shop

VISITOR = "visitor-web-1"


def typical_household(shop: Shop) -> str:
    """The user id of a household with many baskets and a recent one: three quarters of the others buy less often."""
    lines = shop.lines
    recent = lines["second"] >= lines["second"].max() - 14 * 24 * 3600
    active = set(lines.loc[recent, "household_id"].unique().tolist())
    baskets = lines.groupby("household_id")["basket_id"].nunique()
    baskets = baskets[baskets.index.isin(active)].sort_values(kind="stable")
    return f"household-{baskets.index[(len(baskets) * 3) // 4 if len(baskets) > 1 else 0]}"


def favourites(shop: Shop, user: str, count: int) -> list[str]:
    """Product ids that a household bought in the most baskets."""
    household = int(user.removeprefix("household-"))
    own = shop.lines.loc[shop.lines["household_id"] == household, "product_id"].tolist()
    return [str(product) for product, _ in Counter(own).most_common(count)]


def visit(shop: Shop, user: str, now: datetime | None = None) -> list[UserEvent]:
    """The visit: the home page, a search, three products, one into the cart; logged in at the end."""
    products = favourites(shop, user, 4)
    at = (now or datetime.now(UTC)) - timedelta(minutes=12)
    events = [_event(at, 0, USER_EVENT_TYPE_HOME_PAGE_VIEW), _event(at, 1, USER_EVENT_TYPE_SEARCH)]
    events[1].search_query = "frozen pizza"
    for number, product in enumerate(products, 2):
        events.append(_event(at, number, USER_EVENT_TYPE_PRODUCT_VIEW))
        events[-1].products.append(EventProduct(product_id=product))
    if products:
        events.append(_event(at, len(events), USER_EVENT_TYPE_ADD_TO_CART))
        events[-1].products.append(EventProduct(product_id=products[-1], quantity=1))
    events[-1].user_id = user
    return events


def _event(start: datetime, number: int, kind: UserEventType.ValueType) -> UserEvent:
    time = start + timedelta(seconds=100 * number)
    return UserEvent(
        event_id=f"{VISITOR}-{int(start.timestamp())}-{number}",
        event_type=kind,
        event_time=Timestamp(seconds=int(time.timestamp())),
        visitor_id=VISITOR,
        device=DEVICE_TYPE_DESKTOP,
    )
