from __future__ import annotations

import doctest
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from services.cli.demo import shop
from services.cli.evaluation import metrics
from services.cli.evaluation.baselines import most_popular, own_most_bought
from services.cli.evaluation.split import cut


def test_the_examples_in_the_formulas_hold() -> None:
    assert doctest.testmod(metrics).failed == 0


def lines() -> pd.DataFrame:
    """Two households buy ten products every week for a year; a third is seen twice."""
    rows = [
        (
            house,
            house * 1000 + week,
            product,
            1.0,
            2.0,
            pd.Timestamp("2017-01-01") + pd.Timedelta(days=7 * week, hours=house),
        )
        for house in (1, 2)
        for week in range(52)
        for product in (range(10) if house == 1 else range(5, 15))
    ]
    rows += [(3, 3000 + week, 0, 1, 2.0, pd.Timestamp("2017-02-01") + pd.Timedelta(days=week)) for week in range(2)]
    rows += [(1, 1000, 0, 0, 2.0, pd.Timestamp("2017-01-01"))]
    return pd.DataFrame(
        rows, columns=["household_id", "basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp"]
    )


def products() -> pd.DataFrame:
    fields = ("manufacturer_id", "department", "brand", "product_category", "product_type", "package_size")
    return pd.DataFrame([{"product_id": n, **{field: f"{field} {n % 3}" for field in fields}} for n in range(15)])


def test_the_split_looks_only_back() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    split = cut(lines(), products(), now)
    assert split.users == ("household-1", "household-2"), "a household with two baskets is left out"
    assert len(split.items) == 15
    assert split.ages_days.min() > 0
    assert set(split.truth) == {0, 1}
    assert len(split.truth[0]) == 10
    last = max(event.event_time.seconds for event in shop.iter_purchases(split.shop))
    assert last < now.timestamp()
    assert now.timestamp() - last < 8 * 86_400


def test_baselines_by_hand() -> None:
    split = cut(lines(), products(), datetime(2026, 6, 1, tzinfo=UTC))
    names = [split.items[item] for item in most_popular(split, [0], only_new=False)[0][:5]]
    assert sorted(names) == ["5", "6", "7", "8", "9"], "bought by both households"
    assert not {split.items[item] for item in most_popular(split, [0], only_new=True)[0]} & {str(n) for n in range(10)}
    own = own_most_bought(split, [1], 112.0)[1]
    assert {split.items[item] for item in own[:10]} == {str(n) for n in range(5, 15)}


def test_a_perfect_list_scores_one() -> None:
    split = cut(lines(), products(), datetime(2026, 6, 1, tzinfo=UTC))
    perfect = {user: items.tolist() for user, items in split.truth.items()}
    measured = metrics.measure(perfect, split.truth, split)
    assert measured.ndcg.tolist() == pytest.approx([1.0, 1.0])
    assert measured.recall.tolist() == pytest.approx([1.0, 1.0])
    mean, low, high = metrics.interval(np.array([0.0, 1.0] * 50))
    assert low < mean < high
