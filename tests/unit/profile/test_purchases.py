"""What was bought: columns, sums, intervals."""

import pytest

from services.profile.domain.event import DAY_US, EventType
from services.profile.domain.history import History, HistoryEvent, ProductInfo
from services.profile.domain.purchases import purchase_columns, purchase_summary, repeat_intervals
from tests.fakes.profile.events import NOW_US

PRODUCTS = tuple(ProductInfo(name, f"c-{name}", f"b-{name}") for name in "abcd")


def bought(*products: int, days_ago: float, revenue: int = 1_000_000, currency: str = "USD") -> HistoryEvent:
    time_us = NOW_US - int(days_ago * DAY_US)
    quantities = tuple(product + 1 for product in products)
    return HistoryEvent(0, time_us, EventType.PURCHASE, products, quantities, None, currency, revenue)


SEEN = HistoryEvent(0, NOW_US, EventType.PRODUCT_VIEW, (3,), (0,))


def history(*oldest_first: HistoryEvent) -> History:
    return History(oldest_first[::-1], PRODUCTS)


def test_columns_are_oldest_first_and_numbered_by_first_purchase() -> None:
    columns = purchase_columns(history(bought(2, 0, days_ago=2), bought(0, days_ago=1), SEEN), 10)
    assert [info.product_id for info in columns.products] == ["c", "a"]
    assert (columns.product_indexes, columns.basket_indexes) == ((0, 1, 1), (0, 0, 1))
    assert columns.times_s == (*[(NOW_US - 2 * DAY_US) // 1_000_000] * 2, (NOW_US - DAY_US) // 1_000_000)


def test_the_latest_rows_are_kept() -> None:
    columns = purchase_columns(history(bought(3, days_ago=3), bought(0, 1, days_ago=2), bought(2, days_ago=1)), 2)
    assert [info.product_id for info in columns.products] == ["b", "c"]
    assert columns.basket_indexes == (0, 1)
    assert purchase_columns(history(SEEN), 2).products == ()


def test_sums_are_in_the_currency_of_the_latest_order() -> None:
    orders = [bought(0, days_ago=9, currency="EUR"), bought(0, days_ago=6), bought(0, days_ago=1, revenue=2_000_000)]
    summary = purchase_summary(history(*orders))
    assert summary is not None
    assert (summary.order_count, summary.revenue_micros, summary.mean_order_micros) == (3, 3_000_000, 1_500_000)
    assert (summary.currency, summary.order_interval_days) == ("USD", pytest.approx(4))
    assert purchase_summary(history(SEEN)) is None


def test_intervals_are_medians_between_days() -> None:
    days = [40, 30, 29.99, 20, 3]
    [found] = repeat_intervals(history(*(bought(0, days_ago=day) for day in days), bought(1, days_ago=2)), NOW_US)
    assert (found.product_id, found.purchase_count) == ("a", 5)
    assert found.interval_days == pytest.approx(10)
    assert found.expected_us == found.last_us + 10 * DAY_US


def test_the_next_due_stands_first_and_the_given_up_last() -> None:
    orders = [bought(0, 1, 2, days_ago=100), bought(0, days_ago=99), bought(1, days_ago=80), bought(2, days_ago=50)]
    found = repeat_intervals(history(*orders), NOW_US)
    assert [item.product_id for item in found] == ["c", "a", "b"]
    assert repeat_intervals(history(bought(0, days_ago=1.1), bought(0, days_ago=1)), NOW_US) == ()
