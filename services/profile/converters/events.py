"""``UserEvent`` to ``Event`` and back, with the rules that the schema cannot say."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence

from google.type.money_pb2 import Money
from mercato.errors.v1 import error_reason_pb2
from mercato.gateway.v1 import item_result_pb2, user_event_pb2

from services.profile.converters.money import MOST_UNITS, micros_of, money_of, time_us_of, timestamp_of
from services.profile.domain.event import Event
from services.profile.write_events import Rejection
from shared.errors.base import Violation
from shared.errors.reasons import Reason
from shared.validation.validator import violations_of_item

_CURRENCY = re.compile(r"[A-Z]{3}")
_MOST_NANOS = 999_999_999
_YIELD_EVERY = 50
"""Events after which other calls may run: a full batch takes a tenth of a second."""


async def read_events(
    messages: Sequence[user_event_pb2.UserEvent],
) -> tuple[list[tuple[int, Event]], list[Rejection]]:
    """The valid events with their positions, and why the others are not."""
    events: list[tuple[int, Event]] = []
    rejected: list[Rejection] = []
    for index, message in enumerate(messages):
        if index % _YIELD_EVERY == _YIELD_EVERY - 1:
            await asyncio.sleep(0)
        violations = (*violations_of_item(message), *_further_violations(message))
        if violations:
            rejected.append(_invalid(index, message.event_id, violations))
        else:
            events.append((index, event_of(message)))
    return events, rejected


def event_of(message: user_event_pb2.UserEvent) -> Event:
    """The event of a valid message."""
    products = message.products
    priced = any(product.HasField("unit_price") for product in products)
    purchase = message.purchase if message.HasField("purchase") else None
    return Event(
        event_id=message.event_id,
        event_type=message.event_type,
        time_us=time_us_of(message.event_time),
        user_id=message.user_id,
        visitor_id=message.visitor_id,
        session_id=message.session_id,
        product_ids=tuple(product.product_id for product in products),
        quantities=tuple(product.quantity for product in products),
        price_micros=tuple(map(_price, products)) if priced else (),
        price_currencies=tuple(product.unit_price.currency_code for product in products) if priced else (),
        revenue_micros=micros_of(purchase.revenue) if purchase else None,
        revenue_currency=purchase.revenue.currency_code if purchase else "",
        transaction_id=purchase.transaction_id if purchase else "",
        rating=message.rating or None,
        attribution_token=message.attribution_token,
        search_query=message.search_query,
        category=message.category,
        device=message.device,
        locale=message.locale,
        attributes=tuple((attribute.name, attribute.value) for attribute in message.attributes),
    )


def message_of(event: Event) -> user_event_pb2.UserEvent:
    """The message of an event."""
    message = user_event_pb2.UserEvent(
        event_id=event.event_id,
        event_type=event.event_type,  # type: ignore[arg-type]  # the enum is open in Python
        event_time=timestamp_of(event.time_us),
        user_id=event.user_id,
        visitor_id=event.visitor_id,
        session_id=event.session_id,
        attribution_token=event.attribution_token,
        search_query=event.search_query,
        category=event.category,
        rating=event.rating or 0.0,
        device=event.device,  # type: ignore[arg-type]
        locale=event.locale,
        attributes=[user_event_pb2.EventAttribute(name=name, value=value) for name, value in event.attributes],
    )
    for position, (product_id, quantity) in enumerate(zip(event.product_ids, event.quantities, strict=True)):
        product = message.products.add(product_id=product_id, quantity=quantity)
        price = event.price_micros[position] if event.price_micros else None
        if price is not None:
            product.unit_price.CopyFrom(money_of(price, event.price_currencies[position]))
    if event.revenue_micros is not None:
        message.purchase.transaction_id = event.transaction_id
        message.purchase.revenue.CopyFrom(money_of(event.revenue_micros, event.revenue_currency))
    return message


def item_error(rejection: Rejection) -> item_result_pb2.ItemError:
    """The message of a rejection."""
    return item_result_pb2.ItemError(
        index=rejection.index,
        item_id=rejection.event_id,
        reason=error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{rejection.reason}"),
        message=rejection.message,
        violations=[
            item_result_pb2.FieldViolation(field=item.field, description=item.description, rule=item.rule)
            for item in rejection.violations
        ],
    )


def _price(product: user_event_pb2.EventProduct) -> int | None:
    """Millionths; None without a price."""
    return micros_of(product.unit_price) if product.HasField("unit_price") else None


def _invalid(index: int, event_id: str, violations: Sequence[Violation]) -> Rejection:
    """The rejection of an event that breaks rules of the schema."""
    first, more = violations[0], len(violations) - 1
    message = f"{first.field}: {first.description}" if first.field else first.description
    return Rejection(
        index,
        event_id,
        Reason.INVALID_REQUEST,
        f"{message} (and {more} more)" if more else message,
        tuple(violations),
    )


def _further_violations(message: user_event_pb2.UserEvent) -> Iterator[Violation]:
    """What can be said in a message and not be stored: money that is none."""
    for index, product in enumerate(message.products):
        if product.HasField("unit_price"):
            yield from _money_violations(product.unit_price, f"products[{index}].unit_price")
    if message.HasField("purchase"):
        yield from _money_violations(message.purchase.revenue, "purchase.revenue")


def _money_violations(money: Money, field: str) -> Iterator[Violation]:
    """Amounts that are none or absurd, currencies that are none."""
    if money.units > MOST_UNITS:
        yield Violation(f"{field}.units", f"must be at most {MOST_UNITS:,}", "money.units")
    if money.nanos > _MOST_NANOS:
        yield Violation(f"{field}.nanos", "must be at most 999,999,999", "money.nanos")
    if money.currency_code and not _CURRENCY.fullmatch(money.currency_code):
        yield Violation(f"{field}.currency_code", "must be three upper-case letters", "money.currency_code")
