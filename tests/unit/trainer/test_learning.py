from __future__ import annotations

import numpy as np
import pytest

from services.trainer.domain import Categories, Purchases
from services.trainer.learning.categories import number_categories
from services.trainer.learning.neighbours import NeighbourConfig, item_neighbours, uses_ease
from services.trainer.learning.renewal import renewal_table
from services.trainer.learning.statistics import item_statistics

DAY = 86_400


def purchases(rows: list[tuple[int, int, float]], items: int) -> Purchases:
    """Rows of user, item, day; each row is a basket of its own."""
    users, products, days = (np.array(column) for column in zip(*rows, strict=True))
    return Purchases(
        tuple(f"p{n}" for n in range(items)),
        int(users.max()) + 1,
        users.astype(np.int32),
        products.astype(np.int32),
        np.arange(len(rows), dtype=np.int32),
        (days * DAY).astype(np.int64),
    )


def one_leaf(items: int) -> Categories:
    return number_categories([f"p{n}" for n in range(items)], {})


def test_repeat_intervals_lie_between_the_product_and_its_category() -> None:
    rows = [(user, 0, day) for user in range(30) for day in range(0, 100, 7)]
    rows += [(user, 1, day) for user in range(30) for day in range(0, 100, 28)] + [(0, 2, 50)]
    statistics = item_statistics(purchases(rows, 3), one_leaf(3))
    often, seldom, once = statistics.repeat_interval_days.tolist()
    assert often == pytest.approx(7.0, rel=0.05)
    assert seldom == pytest.approx(28.0, rel=0.15)
    assert often < once < seldom
    assert statistics.purchase_counts.tolist() == [450, 120, 1]


def test_what_is_bought_again_soon_is_likely_to_be() -> None:
    rows = [(user, 0, day) for user in range(20) for day in range(0, 150, 14)] + [(user, 1, 20) for user in range(20)]
    often, never = item_statistics(purchases(rows, 2), one_leaf(2)).repurchase_probabilities.tolist()
    assert often > 0.9
    assert never < 0.5


def test_buyers_and_popularity_count_people_not_purchases() -> None:
    rows = [(0, 0, 199), (0, 0, 200), (1, 0, 180), (2, 1, 200), (3, 2, 10), (4, 2, 100)]
    statistics = item_statistics(purchases(rows, 3), one_leaf(3))
    assert [statistics.buyers[days].tolist() for days in (7, 28, 112)] == [[1, 1, 0], [2, 1, 0], [2, 1, 1]]
    assert statistics.popularities.tolist() == pytest.approx([2 / 3, 1 / 3, 0.0])


def test_a_rising_item_has_a_trend_above_one() -> None:
    steady = [(user, 0, float(day)) for user in range(20) for day in range(0, 200, 10)]
    rising = [(user, 1, 185.0) for user in range(20)] + [(user, 2, 100.0) for user in range(20)]
    trends = item_statistics(purchases(steady + rising, 3), one_leaf(3)).trends
    assert trends[1] > 1.5
    assert trends[2] < 0.5


def test_renewal_is_likelier_for_what_is_bought_often_and_lately() -> None:
    rows = [(user, 0, float(day)) for user in range(40) for day in range(0, 200, 7)]
    rows += [(user, 1, 10.0) for user in range(40)]
    table = renewal_table(purchases(rows, 2))
    assert table.probabilities.shape == (15, 16)
    frequent = table.probabilities[np.searchsorted(table.count_edges, 9.0), np.searchsorted(table.day_edges, 4.0)]
    forgotten = table.probabilities[np.searchsorted(table.count_edges, 0.5), np.searchsorted(table.day_edges, 120.0)]
    assert frequent > 2 * forgotten


@pytest.mark.parametrize("rows", [[(0, 0, 5.0)], [(0, 0, 5.0), (0, 0, 6.0)], [(0, 0, 0.0), (1, 1, 300.0)]])
def test_hardly_any_data_are_no_error(rows: list[tuple[int, int, float]]) -> None:
    few = purchases(rows, 2)
    statistics = item_statistics(few, one_leaf(2))
    assert np.isfinite(statistics.repeat_interval_days).all()
    assert ((statistics.repurchase_probabilities > 0) & (statistics.repurchase_probabilities < 1)).all()
    assert np.isfinite(renewal_table(few).probabilities).all()
    assert len(item_neighbours(few, NeighbourConfig(), lambda done, total: None).offsets) == 3


def test_leaves_are_whole_paths() -> None:
    found = number_categories(
        ["a", "b", "c", "d"], {"a": ("Food", "Milk"), "b": ("Food", "Other"), "c": ("Tools", "Other")}
    )
    assert found.leaves == ("Food > Milk", "Food > Other", "Tools > Other", "")
    assert found.leaf_indexes.tolist() == [0, 1, 2, 3]
    assert found.parents.tolist() == [0, 0, 1, 2]


@pytest.fixture(params=["ease", "cosine"])
def config(request: pytest.FixtureRequest) -> NeighbourConfig:
    dense = 0 if request.param == "cosine" else 12_000
    return NeighbourConfig(neighbours=3, least_purchases=2, ridge=1.0, shrink=1.0, dense_side=dense, block=2)


def two_tastes(people: int) -> Purchases:
    """Even people buy items 0 to 4, odd ones 5 to 9; everybody buys item 10."""
    random = np.random.default_rng(7)
    rows = [(user, 10, 50.0) for user in range(people)]
    for user in range(people):
        rows += [(user, (user % 2) * 5 + int(item), 50.0) for item in np.flatnonzero(random.random(5) < 0.6)]
    return purchases(rows, 11)


def test_neighbours_share_buyers(config: NeighbourConfig) -> None:
    found = item_neighbours(two_tastes(60), config, lambda done, total: None)
    assert len(found.offsets) == 12
    for item in range(10):
        neighbours = found.neighbours[found.offsets[item] : found.offsets[item + 1]]
        weights = found.weights[found.offsets[item] : found.offsets[item + 1]]
        assert item not in neighbours
        assert len(neighbours) <= 3
        assert list(weights) == sorted(weights, reverse=True)
        liked = neighbours[(weights > 0) & (neighbours != 10)]
        assert all(neighbour // 5 == item // 5 for neighbour in liked)
        assert len(liked) > 0


def test_both_sides_of_ease_agree() -> None:
    config = NeighbourConfig(neighbours=11, least_purchases=1, ridge=2.0)
    wide = two_tastes(8)
    from services.trainer.learning import neighbours as module

    matrix = module.decayed_matrix(wide, 112.0)
    over_people = np.vstack([block for _, block in module._ease(matrix, config)])
    padded = module.sp.vstack([matrix, module.sp.csr_matrix((20, 11), dtype=np.float32)]).tocsr()
    over_items = np.vstack([block for _, block in module._ease(padded, config)])
    np.fill_diagonal(over_people, 0)
    np.fill_diagonal(over_items, 0)
    np.testing.assert_allclose(over_people, over_items, atol=1e-5)


def test_an_old_purchase_counts_less() -> None:
    rows = [(user, 0, 1000.0) for user in range(4)] + [(0, 1, 1000.0), (1, 1, 1000.0), (2, 2, 0.0), (3, 2, 0.0)]
    config = NeighbourConfig(least_purchases=1, dense_side=0)
    found = item_neighbours(purchases(rows, 3), config, lambda done, total: None)
    weights = dict(zip(found.neighbours[: found.offsets[1]], found.weights[: found.offsets[1]], strict=True))
    assert weights[1] > 10 * weights.get(2, 0.0)


@pytest.mark.parametrize(("shape", "ease"), [((100, 100), True), ((12_001, 12_001), False), ((1000, 500_000), False)])
def test_ease_only_where_it_fits(shape: tuple[int, int], ease: bool) -> None:
    assert uses_ease(shape, NeighbourConfig()) is ease
