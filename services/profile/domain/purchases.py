"""What a person bought: the whole in columns, sums, and when a product is bought again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from services.profile.domain.event import DAY_US, SECOND_US
from services.profile.domain.history import History, HistoryEvent, ProductInfo

MOST_INTERVALS = 100
LAPSED_AFTER_INTERVALS = 2
"""A product overdue by more intervals than this counts as given up and is listed after the others."""


@dataclass(frozen=True, slots=True)
class PurchaseColumns:
    """The latest purchases, oldest first; one row a product of a basket."""

    products: tuple[ProductInfo, ...] = ()
    product_indexes: tuple[int, ...] = ()
    times_s: tuple[int, ...] = ()
    basket_indexes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PurchaseSummary:
    """Recency, frequency and money. Money counts orders in the currency of the latest order."""

    order_count: int
    revenue_micros: int
    mean_order_micros: int
    currency: str
    first_us: int
    last_us: int
    order_interval_days: float
    """Median days between orders; 0 with fewer than two."""


@dataclass(frozen=True, slots=True)
class RepeatInterval:
    """How often a product is bought."""

    product_id: str
    purchase_count: int
    interval_days: float
    last_us: int
    expected_us: int


def purchase_columns(history: History, most: int) -> PurchaseColumns:
    """The latest ``most`` rows; the oldest basket may be cut."""
    newest_first: list[HistoryEvent] = []
    rows = 0
    for event in history.events:
        if event.is_purchase:
            newest_first.append(event)
            rows += len(event.products)
            if rows >= most:
                break
    products: list[int] = []
    times: list[int] = []
    baskets: list[int] = []
    for basket, event in enumerate(reversed(newest_first)):
        size = len(event.products)
        products.extend(event.products)
        times.extend([event.time_us // SECOND_US] * size)
        baskets.extend([basket] * size)
    cut = max(0, rows - most)
    return _columns(history, products[cut:], times[cut:], baskets[cut:])


def _columns(history: History, products: list[int], times: list[int], baskets: list[int]) -> PurchaseColumns:
    """The columns with products numbered anew, by first purchase."""
    numbers = {product: number for number, product in enumerate(dict.fromkeys(products))}
    return PurchaseColumns(
        products=tuple(history.products[product] for product in numbers),
        product_indexes=tuple(map(numbers.__getitem__, products)),
        times_s=tuple(times),
        basket_indexes=tuple(baskets),
    )


def purchase_summary(history: History) -> PurchaseSummary | None:
    """Sums over the purchases read; None when there are none."""
    orders = [event for event in history.events if event.is_purchase]
    if not orders:
        return None
    currency = orders[0].currency
    amounts = [order.revenue_micros or 0 for order in orders if order.currency == currency]
    times = [order.time_us for order in reversed(orders)]
    return PurchaseSummary(
        order_count=len(orders),
        revenue_micros=sum(amounts),
        mean_order_micros=round(sum(amounts) / len(amounts)),
        currency=currency,
        first_us=times[0],
        last_us=times[-1],
        order_interval_days=_median_days(times),
    )


def repeat_intervals(history: History, now_us: int) -> tuple[RepeatInterval, ...]:
    """Products bought on two days or more: those due next first, then those given up."""
    bought: defaultdict[int, list[int]] = defaultdict(list)
    for event in reversed(history.events):
        if event.is_purchase:
            for product in set(event.products):
                bought[product].append(event.time_us)
    found = []
    for product, times in bought.items():
        days = [time for index, time in enumerate(times) if not index or time // DAY_US != times[index - 1] // DAY_US]
        if len(days) > 1:
            interval = _median_days(days)
            expected = times[-1] + round(interval * DAY_US)
            product_id = history.products[product].product_id
            found.append(RepeatInterval(product_id, len(times), interval, times[-1], expected))
    found.sort(key=lambda item: (_lapsed(item, now_us), item.expected_us, item.product_id))
    return tuple(found[:MOST_INTERVALS])


def _lapsed(item: RepeatInterval, now_us: int) -> bool:
    """Whether the product was not bought again long after it was expected."""
    return now_us - item.expected_us > LAPSED_AFTER_INTERVALS * item.interval_days * DAY_US


def _median_days(times_us: Sequence[int]) -> float:
    """Median days between sorted moments; 0 with fewer than two."""
    gaps = [later - earlier for earlier, later in pairwise(times_us)]
    return median(gaps) / DAY_US if gaps else 0.0
