"""What was paid, by the price that holds at the time."""

from __future__ import annotations

import numpy as np

from services.trainer.datasets.amounts import amounts_of
from services.trainer.learning.interactions import EventKind
from tests.fakes.trainer.event_rows import DAY_S, NOW_S, Row, log_of

BUY, VIEW = EventKind.PURCHASE, EventKind.PRODUCT_VIEW
NO_CATALOGUE = np.zeros(9, np.float32)


def amounts(rows: list[Row], catalogue: np.ndarray = NO_CATALOGUE) -> dict[int, int]:
    log = log_of(rows)
    return dict(zip(log.events.tolist(), amounts_of(log, catalogue).tolist(), strict=True))


def test_units_count_by_the_price_of_the_event() -> None:
    rows = [Row("u", "a", BUY, NOW_S, 0, quantity=3, price=2_000_000), Row("u", "a", VIEW, NOW_S + 1, 1, price=5)]
    assert amounts(rows) == {0: 6_000_000, 1: -1}


def test_without_a_price_the_last_one_before_it_counts_whoever_was_told_it() -> None:
    rows = [
        Row("u", "a", BUY, NOW_S, 0),
        Row("v", "a", VIEW, NOW_S + 1, 1, price=4_000_000),
        Row("u", "a", BUY, NOW_S + 1, 2, quantity=2),
        Row("w", "a", BUY, NOW_S + DAY_S, 3, price=7_000_000),
        Row("u", "a", BUY, NOW_S + 2 * DAY_S, 4),
        Row("u", "b", BUY, NOW_S + 2 * DAY_S, 5),
    ]
    assert amounts(rows) == {0: -1, 1: -1, 2: 8_000_000, 3: 7_000_000, 4: 7_000_000, 5: -1}


def test_the_catalogue_of_today_is_asked_last() -> None:
    rows = [Row("u", "a", BUY, NOW_S, 0), Row("u", "b", BUY, NOW_S, 1), Row("u", "b", BUY, NOW_S + 1, 2, price=1)]
    catalogue = np.array([1.5, 9.0], np.float32)
    assert amounts(rows, catalogue) == {0: 1_500_000, 1: 9_000_000, 2: 1}


def test_a_price_in_another_currency_is_no_price() -> None:
    rows = [
        Row("u", "a", BUY, NOW_S, 0, price=2_000_000),
        Row("u", "a", BUY, NOW_S + 1, 1, price=3_000_000),
        Row("u", "a", BUY, NOW_S + 2, 2, price=900_000_000, currency="JPY"),
    ]
    assert amounts(rows) == {0: 2_000_000, 1: 3_000_000, 2: 3_000_000}


def test_lines_of_one_product_in_an_event_are_added_up() -> None:
    log = log_of(
        [
            Row("u", "a", BUY, NOW_S, 0, price=2_000_000),
            Row("u", "a", BUY, NOW_S, 0, price=3_000_000),
            Row("u", "b", BUY, NOW_S, 0, price=1_000_000),
            Row("u", "c", BUY, NOW_S, 0),
        ]
    )
    rows = log.interactions(amounts_of(log, NO_CATALOGUE))
    assert rows.amount_micros is not None
    assert rows.amount_micros.tolist() == [5_000_000, 1_000_000, -1]
    assert rows.of_kind(BUY).before(NOW_S + 1).amount_micros is not None
    assert log.interactions().amount_micros is None
