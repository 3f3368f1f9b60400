from __future__ import annotations

import numpy as np
import pytest

from shared.evaluation import beyond_accuracy as beyond


def test_diversity_equals_the_mean_over_pairs() -> None:
    random = np.random.default_rng(1)
    vectors, categories = random.normal(size=(20, 6)), random.integers(0, 4, 20)
    lists = np.stack([random.permutation(20)[:5] for _ in range(7)])
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [(i, j) for i in range(5) for j in range(i)]
    by_vector = [np.mean([1 - units[row[i]] @ units[row[j]] for i, j in pairs]) for row in lists]
    by_category = [np.mean([categories[row[i]] != categories[row[j]] for i, j in pairs]) for row in lists]
    assert beyond.vector_diversity(lists, vectors).tolist() == pytest.approx(by_vector)
    assert beyond.category_diversity(lists, categories).tolist() == pytest.approx(by_category)


def test_empty_places_and_lists_are_left_out() -> None:
    assert np.isnan(beyond.novelty([[-1, -1]], [1.0])).all()
    assert np.isnan(beyond.vector_diversity([[0, -1]], [[1.0]])).all()
    assert np.isnan(beyond.category_diversity([[0, -1]], [0])).all()
    assert beyond.coverage([[-1, -1]], 3) == 0.0
    assert np.isnan(beyond.gini([[-1]], 3))
    assert np.isnan(beyond.popularity_lift([[0]], [[-1]], [3.0])).all()
    assert beyond.novelty([[1, -1]], [9.0, 2.0]).tolist() == [2.0]


def test_miscalibration_grows_with_distance_and_is_finite() -> None:
    categories = np.array([0, 0, 1, 1])
    history = np.array([[6.0, 2.0]] * 3)
    same, half, other = beyond.miscalibration([[0, 1, 0, 2], [0, 1, 2, 3], [2, 3, 2, 3]], history, categories)
    assert same == pytest.approx(0.0)
    assert 0 < half < other < np.inf
    # Steck 2018, equation 6: p log2(p / ((1 - a) q + a p)).
    expected = 0.75 * np.log2(0.75 / (0.01 * 0.75)) + 0.25 * np.log2(0.25 / (0.99 + 0.01 * 0.25))
    assert other == pytest.approx(expected)
    assert np.isnan(beyond.miscalibration([[0]], [[0.0, 0.0]], categories)).all()


def test_popularity_lift_of_a_mainstream_list() -> None:
    lift = beyond.popularity_lift([[0, 1], [1, 2]], [[2, 2], [1, 2]], [8.0, 4.0, 2.0])
    assert lift.tolist() == pytest.approx([2.0, 0.0])
