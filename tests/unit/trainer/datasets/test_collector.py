from __future__ import annotations

from dataclasses import fields

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.trainer.datasets.collector import EventCollector
from services.trainer.datasets.events import EventLog
from services.trainer.datasets.impressions import ImpressionConfig, Impressions, join_outcomes
from services.trainer.learning.interactions import EventKind
from tests.fakes.trainer.event_rows import NOW_S, Row, chunk, collected, log_of, request

REQUESTS = (request("q1"), request("q2", release="r2", kind="search", at=NOW_S + 50))
ROW = st.builds(
    Row,
    user=st.sampled_from("uvw"),
    product=st.sampled_from("abcd"),
    kind=st.sampled_from(list(EventKind)),
    at=st.integers(NOW_S, NOW_S + 20),
    event=st.just(0),
    quantity=st.integers(1, 3),
    price=st.integers(-1, 5),
    currency=st.sampled_from(["USD", "EUR"]),
    request=st.sampled_from(["", "q1", "q2"]),
    position=st.integers(-1, 3),
)


def same(one: EventLog | Impressions, two: EventLog | Impressions) -> bool:
    """Whether all fields are equal, columns by value and type."""
    pairs = [(getattr(one, field.name), getattr(two, field.name)) for field in fields(one)]
    return all(
        first.dtype == second.dtype and np.array_equal(first, second)
        if isinstance(first, np.ndarray)
        else first == second
        for first, second in pairs
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=30), st.randoms(use_true_random=False), st.integers(1, 7))
def test_the_order_of_arrival_changes_nothing(rows: list[Row], random: object, size: int) -> None:
    numbered = [
        Row(**{**vars(row), "event": number}) for number, row in enumerate(sorted(rows, key=lambda row: row.at))
    ]
    expected = log_of(numbered, REQUESTS)
    shuffled = list(numbered)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    parts = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    found = collected([chunk(part, REQUESTS) for part in parts])
    assert same(found, expected)
    assert same(join_outcomes(found, ImpressionConfig()), join_outcomes(expected, ImpressionConfig()))


def test_rows_become_sequences_of_users() -> None:
    log = log_of(
        [
            Row("v", "b", EventKind.CLICK, NOW_S + 5, 1),
            Row("u", "b", EventKind.PURCHASE, NOW_S + 9, 4),
            Row("u", "a", EventKind.PURCHASE, NOW_S + 9, 4),
            Row("u", "a", EventKind.PURCHASE, NOW_S + 9, 4, quantity=2),
            Row("u", "c", EventKind.PRODUCT_VIEW, NOW_S + 1, 0),
            Row("u", "c", EventKind.IMPRESSION, NOW_S + 2, 7),
        ]
    )
    rows = log.interactions()
    assert (rows.product_ids, log.user_keys) == (("a", "b", "c"), (b"u", b"v"))
    assert list(zip(rows.users, rows.products, rows.kinds, rows.times_s - NOW_S, strict=True)) == [
        (0, 2, EventKind.PRODUCT_VIEW, 1),
        (0, 0, EventKind.PURCHASE, 9),
        (0, 1, EventKind.PURCHASE, 9),
        (1, 1, EventKind.CLICK, 5),
    ]
    assert len(log) == 6
    assert rows.purchases().baskets.tolist() == [0, 0]


def test_prices_in_another_currency_count_as_not_known() -> None:
    log = log_of(
        [
            Row("u", "a", EventKind.PURCHASE, NOW_S, 0, price=5, currency="EUR"),
            Row("u", "b", EventKind.PURCHASE, NOW_S, 1, price=7, currency="USD"),
            Row("u", "c", EventKind.PURCHASE, NOW_S, 2, price=8, currency="EUR"),
            Row("u", "d", EventKind.PURCHASE, NOW_S, 3),
        ]
    )
    assert (log.currency, log.foreign_price_count) == ("EUR", 1)
    assert log.unit_price_micros.tolist() == [5, -1, 8, -1]


def test_progress_is_told_and_an_empty_stream_is_no_log() -> None:
    steps: list[tuple[str, int, int]] = []
    collector = EventCollector(lambda *step: steps.append(step))
    assert collector.finish() is None
    rows = [Row("u", "a", EventKind.CLICK, NOW_S, number) for number in range(3)]
    collector.add(chunk(rows[:2], total=3))
    collector.add(chunk(rows[2:], total=3))
    assert steps == [("reading events", 2, 3), ("reading events", 3, 3)]
    assert collector.finish() is not None
    assert collector.finish() is None, "what was handed out is not kept"
