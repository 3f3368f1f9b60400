from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom, binom

from shared.evaluation.sequential import DEFAULT, Arm, SequentialConfig, Verdict, compare_rates

PEEKS = np.unique(np.geomspace(20, 6000, 20).astype(int))


def arms(successes: np.ndarray, trials: np.ndarray, place: int) -> tuple[Arm, Arm]:
    return tuple(Arm(successes=int(successes[arm, place]), trials=int(trials[arm, place])) for arm in (0, 1))  # type: ignore[return-value]


def simulate(
    seed: int, rates: tuple[float, float], canary_share: float, config: SequentialConfig = DEFAULT
) -> list[Verdict]:
    """The verdicts of 20 looks at one experiment of 6,000 visitors."""
    random = np.random.default_rng(seed)
    canary = random.random(6000) < canary_share
    success = random.random(6000) < np.where(canary, *rates)
    sides = np.stack([canary, ~canary])
    trials, successes = sides.cumsum(axis=1)[:, PEEKS - 1], (sides & success).cumsum(axis=1)[:, PEEKS - 1]
    return [compare_rates(*arms(successes, trials, place), config).verdict for place in range(len(PEEKS))]


@pytest.mark.parametrize(
    ("share", "config"),
    [(0.5, SequentialConfig()), (0.1, SequentialConfig.around(0.05)), (0.5, SequentialConfig.around(0.02))],
)
def test_peeking_does_not_raise_false_alarms(share: float, config: SequentialConfig) -> None:
    """Also with a prior that is wrong."""
    found = [simulate(seed, (0.05, 0.05), share, config) for seed in range(50)]
    assert np.mean([any(verdict is not Verdict.UNDECIDED for verdict in verdicts) for verdicts in found]) <= 0.05


def test_a_prior_near_the_truth_decides_sooner() -> None:
    looks = {
        name: np.mean([simulate(seed, (0.03, 0.06), 0.5, config).count(Verdict.WORSE) for seed in range(10)])
        for name, config in {"near": SequentialConfig.around(0.06), "flat": SequentialConfig()}.items()
    }
    assert looks["near"] > looks["flat"] + 1


def test_a_fixed_test_would_raise_them() -> None:
    """The same looks at a z test: why this module exists."""
    alarms = 0
    for seed in range(120):
        random = np.random.default_rng(seed)
        one, other = (random.random((2, 6000)) < 0.3).cumsum(axis=1)[:, PEEKS - 1] / PEEKS
        pooled = (one + other) / 2
        z = np.abs(one - other) / np.sqrt(2 * pooled * (1 - pooled) / PEEKS)
        alarms += bool((z > 1.96).any())
    assert alarms / 120 > 0.15


def test_harm_and_gain_are_found() -> None:
    assert simulate(1, (0.02, 0.08), 0.3)[-1] is Verdict.WORSE
    assert simulate(1, (0.12, 0.06), 0.3)[-1] is Verdict.BETTER


def test_the_interval_is_the_projection_of_the_joint_set() -> None:
    """Against a fine grid of both rates."""
    one, other = Arm(successes=12, trials=90), Arm(successes=30, trials=120)
    p = np.linspace(1e-4, 0.9999, 3000)

    def log_ratio(arm: Arm) -> np.ndarray:
        mixture = betabinom.logpmf(arm.successes, arm.trials, 0.5, 0.5)
        return mixture - binom.logpmf(arm.successes, arm.trials, p)

    inside = log_ratio(one)[:, None] + log_ratio(other)[None, :] <= np.log(20)
    differences = (p[:, None] - p[None, :])[inside]
    found = compare_rates(one, other).difference
    assert (found.low, found.high) == pytest.approx((differences.min(), differences.max()), abs=2e-3)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 3000), st.integers(0, 3000), st.floats(0, 1), st.floats(0, 1))
def test_verdict_interval_and_p_value_agree(n: int, m: int, share: float, other_share: float) -> None:
    one, other = Arm(successes=round(n * share), trials=n), Arm(successes=round(m * other_share), trials=m)
    found = compare_rates(one, other)
    mirrored = compare_rates(other, one)
    assert -1 <= found.difference.low <= found.difference.mean + 1e-9
    assert found.difference.mean <= found.difference.high + 1e-9 <= 1 + 2e-9
    assert (found.p_value < 0.05 - 1e-6) <= (found.verdict is not Verdict.UNDECIDED)
    assert (found.p_value > 0.05 + 1e-6) <= (found.verdict is Verdict.UNDECIDED)
    assert (mirrored.difference.low, mirrored.difference.high) == pytest.approx(
        (-found.difference.high, -found.difference.low)
    )


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="successes is 5"):
        Arm(successes=5, trials=4)
    with pytest.raises(ValueError, match="alpha is 0"):
        SequentialConfig(alpha=0)
