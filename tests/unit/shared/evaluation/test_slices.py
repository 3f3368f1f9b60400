from __future__ import annotations

import numpy as np

from shared.evaluation.ranking import Truth
from shared.evaluation.slices import SliceConfig, category_slices, new_products, of_products, user_slices

CONFIG = SliceConfig(new_user_events=5, fewest=1)


def test_every_user_is_in_one_slice() -> None:
    events = np.random.default_rng(0).poisson(8, 500)
    slices = user_slices(events, CONFIG)
    whole = slices.pop("all")
    assert whole.all()
    assert (np.sum(list(slices.values()), axis=0) == 1).all()
    assert events[slices["new users"]].max() < 5
    assert events[slices["light users"]].max() < events[slices["medium users"]].min()
    assert events[slices["medium users"]].max() < events[slices["heavy users"]].min()


def test_small_slices_are_left_out() -> None:
    slices = user_slices([1] * 3 + [10] * 30, SliceConfig(new_user_events=5, fewest=20))
    assert set(slices) == {"all", "light users"}, "equal users stand together"


def test_new_products_include_those_never_seen() -> None:
    assert new_products([0.0, 27.9, 28.0, np.inf, np.nan]).tolist() == [True, True, False, True, True]


def test_only_the_slice_counts_as_true() -> None:
    truth = Truth.of_lists([[0, 3], [1], [2, 3]])
    kept, having = of_products(truth, np.array([False, False, True, True]))
    assert having.tolist() == [0, 2]
    assert [kept.items[a:b].tolist() for a, b in zip(kept.starts, kept.starts[1:], strict=False)] == [[3], [2, 3]]


def test_largest_categories_first() -> None:
    truth = Truth.of_lists([[0, 1], [1], [2]])
    slices = category_slices(truth, np.array([7, 8, 7, 9]), {7: "tea", 8: "milk"}, 1, CONFIG)
    assert {name: mask.tolist() for name, mask in slices.items()} == {"tea": [True, False, True, False]}
