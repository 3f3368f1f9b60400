from __future__ import annotations

import numpy as np
import pytest

from services.trainer.domain import Purchases
from services.trainer.learning.neighbours import NeighbourConfig, item_neighbours, uses_ease
from services.trainer.learning.purchases import PurchaseCollector
from services.trainer.learning.statistics import item_statistics
from services.trainer.ports import EventChunk

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


def test_repeat_intervals_are_medians_within_a_person() -> None:
    rows = [(0, 0, 0), (0, 0, 7), (0, 0, 14), (1, 0, 3), (1, 0, 24), (2, 0, 5), (0, 1, 14)]
    statistics = item_statistics(purchases(rows, 2))
    assert statistics.repeat_interval_days.tolist() == [7.0, 0.0]
    assert statistics.repeat_shares.tolist() == pytest.approx([2 / 3, 0.0])
    assert statistics.purchase_counts.tolist() == [6, 1]
    assert statistics.buyer_counts.tolist() == [3, 1]


def test_popularity_is_the_share_of_active_people() -> None:
    rows = [(0, 0, 99), (0, 0, 100), (1, 0, 100), (2, 1, 100), (3, 2, 10)]
    statistics = item_statistics(purchases(rows, 3))
    assert statistics.popularities.tolist() == pytest.approx([2 / 3, 1 / 3, 0.0])


def test_a_trend_is_relative_to_the_whole_shop() -> None:
    steady = [(user, 0, float(day)) for user in range(5) for day in range(0, 100)]
    rising = [(user, 1, float(day)) for user in range(5) for day in range(88, 100)]
    trends = item_statistics(purchases(steady + rising, 2)).trends
    assert trends[1] > 2.0
    assert 0.5 < trends[0] < 1.1


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


def chunk(users: list[bytes], products: list[str], rows: list[tuple[int, int, int, int]]) -> EventChunk:
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return EventChunk(
        users, products, columns[0], columns[1], columns[2].astype(np.int64), columns[3].astype(np.int64), 9
    )


def test_chunks_are_numbered_across_and_baskets_are_sets() -> None:
    collector = PurchaseCollector()
    collector.add(chunk([b"u"], ["a", "b"], [(0, 0, 5 * DAY, 0), (0, 1, 5 * DAY, 0), (0, 0, 5 * DAY, 0)]))
    collector.add(chunk([b"v", b"u"], ["b", "c"], [(0, 0, 6 * DAY, 1), (1, 1, 900 * DAY, 2)]))
    everything = collector.finish(10_000)
    assert everything is not None
    assert everything.product_ids == ("a", "b", "c")
    assert sorted(zip(everything.users.tolist(), everything.products.tolist(), strict=True)) == [
        (0, 0),
        (0, 1),
        (0, 2),
        (1, 1),
    ]
    recent = collector.finish(30)
    assert recent is not None
    assert recent.products.tolist() == [2]


def test_no_chunks_are_no_purchases() -> None:
    assert PurchaseCollector().finish(10) is None
