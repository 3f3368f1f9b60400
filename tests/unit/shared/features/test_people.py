"""What purchases say of a person at a moment, by hand and for many at once."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.features.columns import History
from shared.features.people import NEVER_DAYS, Bought, people_at

DAY, NOW = 86_400, 1_700_000_000
LEAVES = ("Food > Bread", "Food > Milk")
Rows = list[tuple[int, float]]


def history(rows: Rows) -> History:
    """Rows of product number and age in days, each a basket of its own; odd products are milk."""
    ordered = sorted(rows, key=lambda row: -row[1])
    products = sorted({number for number, _ in ordered})
    return History(
        product_ids=tuple(f"p{n}" for n in products),
        category_names=LEAVES,
        categories=np.array(products, np.int64) % 2,
        product_indexes=np.array([products.index(number) for number, _ in ordered], np.int64),
        times_s=np.array([int(NOW - age * DAY) for _, age in ordered], np.int64),
        baskets=np.arange(len(ordered)),
    )


def test_by_hand() -> None:
    people = people_at(Bought.of(history([(1, 10.0), (1, 24.0), (3, 5.0)])), NOW)
    pairs, leaves, totals = people.pairs, people.leaves, people.totals
    assert (pairs.counts[0], pairs.last_days[0], pairs.span_days[0]) == (2, pytest.approx(10.0), pytest.approx(14.0))
    assert pairs.decayed[0] == pytest.approx(2 ** (-10 / 112) + 2 ** (-24 / 112))
    assert pairs.by_basket[0] == pytest.approx(2 ** (-1 / 25) + 2 ** (-2 / 25))
    assert (pairs.baskets_since_last[0], pairs.baskets_since_first[0]) == (1, 2)
    assert (totals.counts[0], totals.baskets[0], totals.baskets_28d[0]) == (3, 3, 3)
    assert leaves.interests[1] == pytest.approx(sum(2 ** (-age / 60) for age in (10, 24, 5)))
    assert (leaves.counts[0], leaves.last_days[0]) == (0, NEVER_DAYS)


def test_what_is_bought_later_is_not_seen() -> None:
    people = people_at(Bought.of(history([(1, 10.0), (2, -3.0)])), NOW)
    assert people.pairs.counts.tolist() == [1, 0]
    assert people.totals.counts.tolist() == [1]
    assert not people_at(Bought.of(history([(2, -3.0)])), NOW).known.any()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 5), st.integers(-20, 400).map(float)), max_size=12), min_size=1, max_size=4
    )
)
def test_many_side_by_side_are_each_as_alone(persons: list[Rows]) -> None:
    histories = [history(rows) for rows in persons]
    together = people_at(side_by_side(histories), NOW)
    alone = [people_at(Bought.of(one), NOW) for one in histories]
    for part in ("pairs", "leaves", "totals"):
        for column in fields(getattr(together, part)):
            expected = np.concatenate([getattr(getattr(one, part), column.name) for one in alone])
            np.testing.assert_allclose(getattr(getattr(together, part), column.name), expected, err_msg=column.name)


def side_by_side(histories: list[History]) -> Bought:
    pairs = np.cumsum([0, *(len(one.product_ids) for one in histories)])
    leaves = np.cumsum([0, *(len(one.category_names) for one in histories)])
    numbers = range(len(histories))
    return Bought(
        count=len(histories),
        pair_persons=np.repeat(numbers, np.diff(pairs)),
        pair_leaves=np.concatenate([one.categories + leaves[n] for n, one in enumerate(histories)]),
        leaf_persons=np.repeat(numbers, np.diff(leaves)),
        pairs=np.concatenate([one.product_indexes + pairs[n] for n, one in enumerate(histories)]),
        baskets=np.concatenate([one.baskets for one in histories]),
        times_s=np.concatenate([one.times_s for one in histories]),
    )
