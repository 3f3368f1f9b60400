"""Always-valid comparisons of means: seldom wrong however often one looks, and sure when there is a difference."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from shared.evaluation.confidence_sequence import MeanArm, MeanConfig, compare_means, width_factor
from shared.evaluation.sequential import Verdict

SEEDS, PEOPLE, LOOKS = 300, 6000, 40


def spent(random: np.random.Generator, count: int, buy: float = 0.1, lift: float = 1.0) -> npt.NDArray[np.float64]:
    """Revenue as shops see it: most people spend nothing, the others very unequal amounts."""
    return random.lognormal(3.0, 1.0, count) * (random.random(count) < buy) * lift


def ever_decided(seed: int, lift: float = 1.0, config: MeanConfig | None = None) -> Verdict:
    random = np.random.default_rng(seed)
    one, other = spent(random, PEOPLE, lift=lift), spent(random, PEOPLE)
    for count in np.linspace(PEOPLE // LOOKS, PEOPLE, LOOKS, dtype=int):
        found = compare_means(MeanArm.of(one[:count]), MeanArm.of(other[:count]), config or MeanConfig())
        if found.verdict is not Verdict.UNDECIDED:
            return found.verdict
    return Verdict.UNDECIDED


def test_equal_arms_are_seldom_told_apart_at_any_of_many_looks() -> None:
    wrong = sum(ever_decided(seed) is not Verdict.UNDECIDED for seed in range(SEEDS))
    assert wrong / SEEDS <= 0.05


def test_a_true_lift_is_found() -> None:
    right = sum(ever_decided(seed, lift=1.5) is Verdict.BETTER for seed in range(100))
    assert right >= 80


def test_looking_often_at_an_ordinary_interval_would_be_wrong_often() -> None:
    """What this module is for: at 1.96 standard errors the same looks err many times as often."""
    wrong = 0
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        one, other = spent(random, PEOPLE), spent(random, PEOPLE)
        for count in np.linspace(PEOPLE // LOOKS, PEOPLE, LOOKS, dtype=int):
            arms = MeanArm.of(one[:count]), MeanArm.of(other[:count])
            if abs(arms[0].mean - arms[1].mean) > 1.96 * np.sqrt(arms[0].error + arms[1].error):
                wrong += 1
                break
    assert wrong / SEEDS > 0.15


def test_the_lift_covers_the_truth_where_the_difference_does() -> None:
    random = np.random.default_rng(3)
    found = compare_means(MeanArm.of(spent(random, 40_000, lift=1.2)), MeanArm.of(spent(random, 40_000)))
    assert found.lift.low < 0.2 < found.lift.high
    assert (found.difference.low > 0) == (found.lift.low > 0)


def test_nothing_is_said_of_few_buyers() -> None:
    arm = MeanArm.of(np.array([0.0] * 500 + [10.0] * 20))
    found = compare_means(arm, MeanArm.of(np.array([0.0] * 500 + [90.0] * 20)))
    assert found.verdict is Verdict.UNDECIDED
    assert found.difference.low == -np.inf


def test_the_width_is_least_near_the_number_it_was_made_for() -> None:
    config = MeanConfig(tightest_at=1000)
    halves = [width_factor(count, config) for count in (10, 1000, 100_000)]
    assert halves[1] < min(halves[0], halves[2])


@pytest.mark.parametrize("bad", [{"alpha": 0.0}, {"tightest_at": 0}, {"least_nonzero": 1}])
def test_a_promise_that_cannot_be_kept_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        MeanConfig(**bad)  # type: ignore[arg-type]
