"""The features of the learned ranker."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shared.features import formulas
from shared.features.columns import Candidates, Channel, History
from shared.features.joined import join
from shared.features.registry import FEATURES, GROUPS, matrix

NOW, DAY = 1_700_000_000.0, 86_400


def candidates(count: int = 4) -> Candidates:
    return Candidates(
        product_ids=tuple(f"p{n}" for n in range(count)),
        category_names=("Food > Bread", "Food > Milk"),
        categories=np.arange(count) % 2,
        brand_names=("B",),
        brands=np.zeros(count, np.int64),
        channel_masks=np.full(count, 1 << Channel.BEHAVIOUR),
        neighbour_scores=np.array([0.1, 0.4, -0.2, 0.4])[:count],
        neighbour_seeds=np.zeros(count, np.int64),
        content_scores=np.zeros(count),
        publish_times_s=np.zeros(count, np.int64),
    )


def test_every_feature_has_one_group() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(FEATURES)


@pytest.mark.parametrize("count", [0, 4])
def test_everything_is_finite_without_person_release_and_models(count: int) -> None:
    columns = join(candidates(count), None, History(), NOW)
    values = matrix(columns, tuple(FEATURES))
    assert values.shape == (count, len(FEATURES))
    assert np.isfinite(values).all()


def test_places_count_within_the_request_and_equal_scores_in_their_order() -> None:
    columns = join(candidates(), None, History(), NOW)
    assert np.expm1(formulas.neighbours_place(columns)).round().tolist() == [2, 0, 3, 1]
    two = replace(columns, persons=np.array([0, 0, 1, 1]))
    assert np.expm1(formulas.neighbours_place(two)).round().tolist() == [1, 0, 1, 0]


def test_a_product_is_due_after_the_persons_own_interval() -> None:
    bought = History(
        product_ids=("p1",),
        category_names=("Food > Milk",),
        categories=np.zeros(1, np.int64),
        product_indexes=np.zeros(3, np.int64),
        times_s=np.array([int(NOW - days * DAY) for days in (30, 20, 10)]),
        baskets=np.arange(3),
    )
    due = formulas.own_due(join(candidates(), None, bought, NOW))
    assert due.tolist() == [0.0, pytest.approx(0.0), 0.0, 0.0]  # every ten days, and ten days ago


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError, match="luck"):
        matrix(join(candidates(), None, History(), NOW), ("known", "luck"))
