from __future__ import annotations

import pytest

from services.trainer.datasets.impressions import ImpressionConfig, Impressions, join_outcomes
from services.trainer.learning.interactions import EventKind
from tests.fakes.trainer.event_rows import DAY_S, NOW_S, Row, log_of, request

CONFIG = ImpressionConfig(window_s=7 * DAY_S)


def shown(product: str, position: int, *, at: int = NOW_S + 2, event: int = 0, name: str = "q") -> Row:
    return Row("u", product, EventKind.IMPRESSION, at, event, request=name, position=position, device=2)


def outcome(kind: EventKind, product: str, position: int, at: int, event: int, **fields: int) -> Row:
    return Row("u", product, kind, at, event, request="q", position=position, **fields)


def outcomes(rows: Impressions) -> list[tuple[int, bool, bool, bool, int]]:
    columns = (rows.positions, rows.clicked, rows.carted, rows.purchased, rows.revenue_micros)
    return [tuple(values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def test_each_product_shown_has_its_outcomes() -> None:
    log = log_of(
        [
            shown("a", 0),
            shown("b", 1),
            shown("c", 2),
            outcome(EventKind.CLICK, "b", 1, NOW_S + 10, 1),
            outcome(EventKind.ADD_TO_CART, "b", 1, NOW_S + 20, 2),
            outcome(EventKind.PURCHASE, "b", 1, NOW_S + DAY_S, 3, quantity=2, price=3_000_000),
            outcome(EventKind.PRODUCT_VIEW, "c", 2, NOW_S + 30, 4),
            outcome(EventKind.PURCHASE, "x", -1, NOW_S + DAY_S, 3, price=9_000_000),
            Row("u", "a", EventKind.PURCHASE, NOW_S + 40, 5, price=1),
        ],
        [request("q")],
    )
    rows = join_outcomes(log, CONFIG)
    assert outcomes(rows) == [
        (0, False, False, False, 0),
        (1, True, True, True, 6_000_000),
        (2, True, False, False, 0),
    ], "neither a product outside the list nor a purchase without the token counts"
    assert rows.shown.all()
    assert set(rows.times_s) == {NOW_S + 2}
    assert set(rows.devices) == {2}
    assert [rows.release_ids[number] for number in rows.releases] == ["r1"] * 3
    assert [log.product_ids[number] for number in rows.products] == ["a", "b", "c"]


def test_outcomes_told_twice_count_once_and_revenue_of_each_purchase_once() -> None:
    log = log_of(
        [
            shown("a", 0),
            shown("a", 0, at=NOW_S + 60, event=1),
            *[outcome(EventKind.CLICK, "a", 0, NOW_S + 70 + n, 2 + n) for n in range(3)],
            outcome(EventKind.PURCHASE, "a", 0, NOW_S + 80, 9, price=5),
            outcome(EventKind.PURCHASE, "a", 0, NOW_S + 90, 10, price=7),
        ],
        [request("q")],
    )
    rows = join_outcomes(log, CONFIG)
    assert outcomes(rows) == [(0, True, False, True, 12)]
    assert rows.times_s.tolist() == [NOW_S + 2], "the first time that it was shown"


@pytest.mark.parametrize(("late_s", "counts"), [(7 * DAY_S - 1, True), (7 * DAY_S, False)])
def test_an_outcome_counts_within_the_window(late_s: int, counts: bool) -> None:
    log = log_of(
        [shown("a", 0), outcome(EventKind.PURCHASE, "a", 0, NOW_S + 2 + late_s, 1, price=5)],
        [request("q")],
    )
    assert outcomes(join_outcomes(log, CONFIG)) == [(0, False, False, counts, 5 if counts else 0)]


def test_a_click_without_its_impression_proves_one_row() -> None:
    log = log_of([outcome(EventKind.CLICK, "c", 2, NOW_S + 500, 1)], [request("q", release="", kind="search")])
    rows = join_outcomes(log, CONFIG)
    assert outcomes(rows) == [(2, True, False, False, 0)]
    assert (rows.shown.tolist(), rows.times_s.tolist()) == ([False], [NOW_S]), "shown when it was answered"
    assert (rows.list_kind_names, rows.release_ids) == (("search",), ("",))


def test_a_purchase_long_after_an_answer_that_nobody_saw_told() -> None:
    log = log_of([outcome(EventKind.PURCHASE, "c", 2, NOW_S + 9 * DAY_S, 1)], [request("q")])
    assert outcomes(join_outcomes(log, CONFIG)) == [(2, False, False, False, 0)]


def test_lists_are_kept_apart_and_in_order() -> None:
    log = log_of(
        [
            shown("b", 1, name="q2"),
            shown("a", 0, name="q2"),
            shown("a", 3),
            outcome(EventKind.CLICK, "a", 3, NOW_S + 9, 5),
        ],
        [request("q"), request("q2", release="r2")],
    )
    rows = join_outcomes(log, CONFIG)
    assert list(zip(rows.requests.tolist(), rows.positions.tolist(), rows.clicked.tolist(), strict=True)) == [
        (0, 3, True),
        (1, 0, False),
        (1, 1, False),
    ]


def test_only_windows_that_ended_are_complete() -> None:
    log = log_of(
        [
            shown("a", 0),
            shown("b", 1, at=NOW_S + 3, event=1),
            Row("u", "z", EventKind.PRODUCT_VIEW, NOW_S + 2 + 7 * DAY_S, 2),
        ],
        [request("q")],
    )
    rows = join_outcomes(log, CONFIG)
    assert rows.complete().positions.tolist() == [0]
    assert rows.between(NOW_S + 3, NOW_S + 4).positions.tolist() == [1]


def test_a_log_without_tokens_has_no_impressions() -> None:
    rows = join_outcomes(log_of([Row("u", "a", EventKind.PURCHASE, NOW_S, 0)]), CONFIG)
    assert (len(rows), rows.release_ids) == (0, ())
