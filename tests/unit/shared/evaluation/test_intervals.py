from __future__ import annotations

import numpy as np
import pytest

from shared.evaluation import intervals
from shared.evaluation.intervals import Resampling

FEW = Resampling(draws=300)


def test_bootstrap_intervals_cover_the_mean_as_often_as_they_say() -> None:
    random = np.random.default_rng(2)
    covered = sum(not intervals.bootstrap(random.beta(1, 3, 150), FEW).excludes(0.25) for _ in range(300))
    assert 0.91 <= covered / 300 <= 0.985


def test_bernstein_covers_where_the_bootstrap_sees_nothing() -> None:
    zeros = np.zeros(100)
    assert intervals.bootstrap(zeros).high == 0.0
    assert 0.01 < intervals.empirical_bernstein(zeros, 0.0, 1.0).high < 0.2
    random = np.random.default_rng(3)
    covered = [not intervals.empirical_bernstein(random.random(80) < 0.02, 0, 1).excludes(0.02) for _ in range(300)]
    assert np.mean(covered) >= 0.95
    with pytest.raises(ValueError, match="within"):
        intervals.empirical_bernstein([0.0, 2.0], 0.0, 1.0)


def test_the_randomisation_test_keeps_its_level_and_has_power() -> None:
    random = np.random.default_rng(4)
    alarms, found = 0, 0
    for _ in range(300):
        theirs, noise = random.random(40), random.normal(0, 0.3, 40)
        alarms += intervals.randomisation_test(theirs + noise, theirs, FEW) <= 0.05
        found += intervals.randomisation_test(theirs + noise + 0.2, theirs, FEW) <= 0.05
    assert alarms / 300 <= 0.09
    assert found / 300 >= 0.9


def test_the_randomisation_test_agrees_with_all_sign_flips() -> None:
    differences = np.array([0.4, -0.1, 0.3, 0.25, 0.0, 0.6])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 6)).reshape(6, -1)
    exact = (np.abs(differences @ signs) >= differences.sum() - 1e-9).mean()
    estimated = intervals.randomisation_test(differences, np.zeros(6), Resampling(draws=20_000))
    assert estimated == pytest.approx(exact, abs=0.01)


def test_pairing_removes_what_both_share() -> None:
    random = np.random.default_rng(6)
    users = random.random(200)
    comparison = intervals.compare(users + 0.02 + random.normal(0, 0.01, 200), users)
    assert comparison.difference.low > 0
    assert comparison.p_value < 0.01
    assert intervals.bootstrap(users).high - intervals.bootstrap(users).low > 0.05, "unpaired it would drown"


def test_draws_are_seeded_and_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(7).random(50)
    whole = intervals.bootstrap(values)
    monkeypatch.setattr(intervals, "AT_ONCE", 777)
    assert intervals.bootstrap(values) == whole
    assert intervals.bootstrap(values, Resampling(seed=1)) != whole


def test_few_distinct_rows_are_drawn_alike() -> None:
    """Clicks, drawn by distinct value, against the same clicks made distinct by nothing that matters."""
    clicks = np.repeat([0.0, 1.0], [1800, 200])
    grouped = intervals.resampled_sums(np.stack([clicks, 1 - clicks], axis=1))
    single = intervals.resampled_sums((clicks + np.arange(2000) * 1e-12)[:, None])
    assert grouped.sum(axis=1).tolist() == [2000.0] * 2000
    assert grouped[:, 0].mean() == pytest.approx(single.mean(), rel=0.01)
    assert grouped[:, 0].std() == pytest.approx(single.std(), rel=0.08)
    assert grouped[:, 0].std() == pytest.approx(np.sqrt(2000 * 0.1 * 0.9), rel=0.05)


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"values\[1\] is nan"):
        intervals.bootstrap([0.0, float("nan")])
    with pytest.raises(ValueError, match="same users"):
        intervals.compare([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="confidence is 1"):
        Resampling(confidence=1)
