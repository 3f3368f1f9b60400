"""Messages to events and back, and what is refused on the way."""

from typing import Any

import pytest
from google.protobuf import json_format
from mercato.errors.v1 import error_reason_pb2
from mercato.gateway.v1 import user_event_pb2

from services.profile.converters.events import event_of, item_error, message_of, read_events
from services.profile.converters.features import features_message, price_band_messages
from services.profile.domain.affinities import Affinities, PriceBand
from services.profile.domain.event import EventType
from services.profile.domain.features import Features
from tests.contract.profile.stores import RICH

PURCHASE: dict[str, Any] = {
    "eventId": "e",
    "eventType": "USER_EVENT_TYPE_PURCHASE",
    "eventTime": "2026-01-02T03:04:05.678901Z",
    "userId": "u",
    "visitorId": "v",
    "sessionId": "s",
    "attributionToken": "t",
    "products": [
        {"productId": "a", "quantity": 2, "unitPrice": {"currencyCode": "EUR", "units": "1", "nanos": 990000000}},
        {"productId": "b", "quantity": 1},
    ],
    "searchQuery": "q",
    "category": "c",
    "purchase": {"transactionId": "o", "revenue": {"currencyCode": "USD", "units": "3", "nanos": 10000}},
    "device": "DEVICE_TYPE_APP",
    "locale": "de-DE",
    "attributes": [{"name": "n", "value": "x"}],
}
SEARCH: dict[str, Any] = {
    "eventId": "e",
    "eventType": "USER_EVENT_TYPE_SEARCH",
    "eventTime": "2026-01-02T03:04:05Z",
    "visitorId": "v",
    "searchQuery": "q",
}


def message(data: dict[str, Any]) -> user_event_pb2.UserEvent:
    return json_format.ParseDict(data, user_event_pb2.UserEvent())


def changed(data: dict[str, Any], **fields: Any) -> user_event_pb2.UserEvent:
    return message({**data, **fields})


def test_event_types_are_the_contracts() -> None:
    names = {
        value.name.removeprefix("USER_EVENT_TYPE_"): value.number
        for value in user_event_pb2.UserEventType.DESCRIPTOR.values
    }
    assert {kind.name: int(kind) for kind in EventType} == {name: number for name, number in names.items() if number}


@pytest.mark.parametrize("data", [PURCHASE, SEARCH])
def test_nothing_is_lost(data: dict[str, Any]) -> None:
    assert json_format.MessageToDict(message_of(event_of(message(data)))) == data


def test_nothing_is_lost_the_other_way() -> None:
    assert event_of(message_of(RICH)) == RICH


def money(units: int = 1, nanos: int = 0, code: str = "USD") -> dict[str, Any]:
    return {"units": str(units), "nanos": nanos, "currencyCode": code}


BAD = {
    "no person": (changed(SEARCH, visitorId=""), "", "event.person"),
    "no id": (changed(SEARCH, eventId=""), "event_id", "string.min_len"),
    "no time": (message({key: value for key, value in SEARCH.items() if key != "eventTime"}), "event_time", "required"),
    "no type": (changed(SEARCH, eventType=0), "event_type", "enum.not_in"),
    "a type to come": (changed(SEARCH, eventType=99), "event_type", "enum.defined_only"),
    "no query": (changed(SEARCH, searchQuery=""), "", "event.search_terms"),
    "bought nothing": (changed(PURCHASE, products=[]), "", "event.products_required"),
    "bought none of it": (changed(PURCHASE, products=[{"productId": "a"}]), "", "event.quantity_required"),
    "paid nothing known": (changed(PURCHASE, purchase={}), "", "event.purchase_revenue"),
    "no product id": (changed(PURCHASE, products=[{"quantity": 1}]), "products[0].product_id", "string.min_len"),
    "NUL in text": (changed(SEARCH, searchQuery="a\0"), "search_query", "string.nul"),
    "NUL in a token": (changed(SEARCH, attributionToken="\0"), "attribution_token", "string.nul"),
    "NUL in an attribute": (
        changed(SEARCH, attributes=[{"name": "a", "value": "\0"}]),
        "attributes[0].value",
        "string.nul",
    ),
    "NUL in an order": (
        changed(PURCHASE, purchase={"transactionId": "\0", "revenue": money()}),
        "purchase.transaction_id",
        "string.nul",
    ),
    "absurd revenue": (changed(PURCHASE, purchase={"revenue": money(10**18)}), "purchase.revenue.units", "money.units"),
    "no such nanos": (
        changed(PURCHASE, purchase={"revenue": money(1, 10**9)}),
        "purchase.revenue.nanos",
        "money.nanos",
    ),
    "no such currency": (
        changed(PURCHASE, products=[{"productId": "a", "quantity": 1, "unitPrice": money(code="dollars")}]),
        "products[0].unit_price.currency_code",
        "money.currency_code",
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_events_are_refused_with_path_and_rule(name: str) -> None:
    bad, field, rule = BAD[name]
    events, [rejection] = await read_events([message(SEARCH), bad])
    assert [index for index, _ in events] == [0]
    error = item_error(rejection)
    assert (error.index, error.item_id) == (1, bad.event_id)
    assert error.reason == error_reason_pb2.ERROR_REASON_INVALID_REQUEST
    assert (field, rule) in [(item.field, item.rule) for item in error.violations]


async def test_times_that_are_none_are_refused() -> None:
    bad = message(SEARCH)
    bad.event_time.nanos = -1
    _, [rejection] = await read_events([bad])
    assert [item.field for item in rejection.violations] == ["event_time.nanos"]


def test_bands_below_one_have_exact_money() -> None:
    bands = tuple(PriceBand(band, 0.25) for band in (-9, -1, 0, 10))
    found = price_band_messages(Affinities(price_bands=bands, currency="USD"))
    low = [(item.low.units, item.low.nanos, item.low.currency_code) for item in found]
    assert low == [(0, 1_953_125, "USD"), (0, 500_000_000, "USD"), (1, 0, "USD"), (1024, 0, "USD")]
    assert not features_message(Features()).ByteSize()
