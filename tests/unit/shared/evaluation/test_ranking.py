from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.evaluation import beyond_accuracy, calibration_error, intervals, ranking, sequential
from shared.evaluation.ranking import Truth

MEASURES = (ranking.ndcg, ranking.recall, ranking.average_precision, ranking.reciprocal_rank, ranking.hit_rate)
rows = st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=6, max_size=6), min_size=1, max_size=8)


@pytest.mark.parametrize("module", [ranking, beyond_accuracy, intervals, calibration_error, sequential])
def test_the_examples_in_the_formulas_hold(module: object) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def test_known_answers() -> None:
    hits, relevant = [[0, 1, 1, 0, 0], [0, 0, 0, 0, 1]], [3, 1]
    best = 1 + 1 / np.log2(3) + 0.5
    assert ranking.ndcg(hits, relevant, 5).tolist() == pytest.approx([(1 / np.log2(3) + 0.5) / best, 1 / np.log2(6)])
    assert ranking.recall(hits, relevant, 5).tolist() == pytest.approx([2 / 3, 1])
    assert ranking.average_precision(hits, relevant, 5).tolist() == pytest.approx([(1 / 2 + 2 / 3) / 3, 1 / 5])
    assert ranking.reciprocal_rank(hits, relevant, 5).tolist() == pytest.approx([1 / 2, 1 / 5])
    assert ranking.hit_rate(hits, relevant, 2).tolist() == [1, 0]


@settings(max_examples=60, deadline=None)
@given(rows, st.integers(1, 8))
def test_measures_stay_within_bounds_and_reward_earlier_hits(hits: list[list[float]], k: int) -> None:
    matrix = np.array(hits)
    relevant = np.maximum(matrix.sum(axis=1), 1).astype(int)
    best = np.sort(matrix, axis=1)[:, ::-1]
    for measure in MEASURES:
        values, ideal = measure(matrix, relevant, k), measure(best, relevant, k)
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()
        assert (ideal >= values - 1e-12).all(), "no order of the same products scores higher than hits first"
    full = ranking.ndcg(best, relevant, k)[matrix.any(axis=1)]
    assert full.tolist() == pytest.approx([1.0] * len(full))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12).flatmap(
        lambda p: st.tuples(
            st.lists(st.lists(st.integers(-2, 2), min_size=p, max_size=p), min_size=1), st.integers(1, 14)
        )
    )
)
def test_top_k_is_a_stable_sort(case: tuple[list[list[int]], int]) -> None:
    scores, k = np.array(case[0], np.float32), case[1]
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    found = ranking.top_k(scores, k)
    assert found[:, : expected.shape[1]].tolist() == expected.tolist()
    assert (found[:, expected.shape[1] :] == -1).all()


def test_hits_match_sets() -> None:
    random = np.random.default_rng(5)
    truth = [random.choice(30, random.integers(1, 9), replace=False) for _ in range(40)]
    lists = [random.permutation(30)[: random.integers(0, 11)].tolist() for _ in range(40)]
    found = ranking.hits(ranking.padded(lists, 10), Truth.of_lists(truth))
    for row, items, wanted in zip(found, lists, truth, strict=True):
        assert row.tolist() == [float(i < len(items) and items[i] in set(wanted.tolist())) for i in range(10)]


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"relevant\[1\] is 0: must be >= 1"):
        ranking.ndcg([[1], [0]], [1, 0], 1)
    with pytest.raises(ValueError, match=r"k is 0"):
        ranking.recall([[1]], [1], 0)
    with pytest.raises(ValueError, match=r"scores\[0, 1\] is nan"):
        ranking.top_k(np.array([[0.0, np.nan]]), 1)
    with pytest.raises(ValueError, match=r"must be \[2, K\]"):
        ranking.hits([[1]], Truth.of_lists([[1], [2]]))
