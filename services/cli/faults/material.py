"""A small shop, made from a seed: enough for every stage of an answer, small enough to be filled in seconds."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from mercato.gateway.v1.product_pb2 import Product
from mercato.gateway.v1.support_document_pb2 import SupportDocument
from mercato.gateway.v1.user_event_pb2 import (
    USER_EVENT_TYPE_PRODUCT_VIEW,
    USER_EVENT_TYPE_PURCHASE,
    EventProduct,
    PurchaseDetails,
    UserEvent,
)

PRODUCTS, PEOPLE, WEEKS = 400, 120, 22
DAY_SECONDS = 86_400
CURRENCY = "USD"
SHELVES = {
    "Dairy": ("milk", "butter", "yogurt", "cheddar", "cream"),
    "Bakery": ("bread", "bagels", "croissants", "rolls", "rye bread"),
    "Produce": ("apples", "bananas", "tomatoes", "carrots", "spinach"),
    "Coffee": ("ground coffee", "espresso beans", "instant coffee", "decaf coffee", "coffee pods"),
}
KINDS = ("Whole", "Organic", "Fresh", "Classic", "Small", "Large", "Dark", "Light", "Sweet", "Farm")
QUERIES = ("organic milk", "fresh bread", "sweet apples", "dark coffee", "butter", "bagels", "farm cheddar", "spinach")
QUESTIONS = ("How many days do I have to return a product?", "How long does a refund take?", "Do gift cards expire?")
DOCUMENTS = (
    SupportDocument(
        document_id="returns",
        title="Returns",
        text="# Returns\n## Time\nYou can return most products within 30 days of the purchase. Keep the receipt.\n"
        "## Money\nWe refund the way you paid. Card refunds take 3 to 5 working days.\n",
    ),
    SupportDocument(
        document_id="cards",
        title="Gift cards",
        text="# Gift cards\n## Validity\nGift cards do not expire and have no fees.\n",
    ),
)


def product(number: int, revision: int = 0) -> Product:
    """Product `number` of the shop; its title and price say which revision it is."""
    shelf = list(SHELVES)[number % len(SHELVES)]
    words = SHELVES[shelf]
    noun = words[number // len(SHELVES) % len(words)]
    kind = KINDS[number // 20 % len(KINDS)]
    title = f"{kind} {noun} no. {number}" + (f", batch {revision}" if revision else "")
    made = Product(product_id=product_id(number), title=title, brand=f"Maker {number % 7}", language_code="en")
    made.category_path.extend(["Grocery", shelf])
    made.price.currency_code, made.price.units = CURRENCY, 1 + (number + revision) % 90
    return made


def product_id(number: int) -> str:
    """The id of product `number`."""
    return f"p-{number:04d}"


def person(number: int) -> str:
    """The user id of person `number`."""
    return f"user-{number % PEOPLE}"


def purchases() -> Iterator[UserEvent]:
    """Half a year in which everybody buys from one shelf every week, and from the next one now and then."""
    chance, now = random.Random(84), time.time()  # noqa: S311 - a shop, not a secret
    for buyer in range(PEOPLE):
        shelf = buyer % len(SHELVES)
        for week in range(WEEKS):
            numbers = [shelf + len(SHELVES) * chance.randrange(20), shelf + len(SHELVES) * chance.randrange(100)]
            if chance.random() < 0.4:
                numbers.append((shelf + 1) % len(SHELVES) + len(SHELVES) * chance.randrange(100))
            second = now - (7 * week + 0.5 + buyer / 400) * DAY_SECONDS
            yield _purchase(f"bought-{buyer}-{week}", person(buyer), dict.fromkeys(numbers), second)


def view(event_id: str, visitor: str, number: int) -> UserEvent:
    """Somebody looks at a product now."""
    event = UserEvent(event_id=event_id, event_type=USER_EVENT_TYPE_PRODUCT_VIEW, visitor_id=visitor)
    event.event_time.GetCurrentTime()
    event.products.add(product_id=product_id(number))
    return event


def _purchase(event_id: str, user_id: str, numbers: dict[int, None], second: float) -> UserEvent:
    event = UserEvent(
        event_id=event_id,
        event_type=USER_EVENT_TYPE_PURCHASE,
        user_id=user_id,
        products=[EventProduct(product_id=product_id(number), quantity=1) for number in numbers],
        purchase=PurchaseDetails(transaction_id=event_id),
    )
    event.event_time.FromSeconds(int(second))
    event.purchase.revenue.currency_code, event.purchase.revenue.units = CURRENCY, 5 * len(numbers)
    return event
