from __future__ import annotations

import numpy as np
import pytest

from shared.evaluation.intervals import Resampling
from shared.evaluation.offpolicy import IntervalKind, Log, OffPolicyConfig, evaluate
from shared.evaluation.policies import RewardModel, TargetPolicy

POSITIONS, ACTIONS = 2, 6
SHAPE = (POSITIONS, ACTIONS)
RATES = np.random.default_rng(0).beta(2, 20, SHAPE)
TARGET = np.random.default_rng(1).dirichlet(np.ones(ACTIONS), POSITIONS)
VALUE = float((TARGET * RATES).sum(axis=1).mean())
CONFIG = OffPolicyConfig(resampling=Resampling(draws=200))


def play(random: np.random.Generator, rows: int, policy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Contexts, actions and rewards of a policy."""
    contexts = random.integers(0, POSITIONS, rows)
    actions = (random.random(rows)[:, None] > policy.cumsum(axis=1)[contexts]).sum(axis=1).clip(0, ACTIONS - 1)
    return contexts, actions, (random.random(rows) < RATES[contexts, actions]).astype(float)


def study(seed: int, rows: int = 1500, config: OffPolicyConfig = CONFIG):  # noqa: ANN201
    random = np.random.default_rng(seed)
    uniform = np.full(SHAPE, 1 / ACTIONS)
    contexts, actions, rewards = play(random, rows, uniform)
    own_contexts, own_actions, _ = play(random, rows, TARGET)
    policy = TargetPolicy.of((contexts, actions), (own_contexts, own_actions), SHAPE)
    log = Log.of(rewards, uniform[contexts, actions], policy.of_rows)
    return evaluate(log, config, policy, RewardModel.fit((contexts, actions), rewards, log.groups, SHAPE))


def test_intervals_cover_the_value_of_a_policy_that_never_served() -> None:
    studies = [study(seed) for seed in range(200)]
    for name in ("ips", "snips", "dr"):
        covered = np.mean([not one.values[name].excludes(VALUE) for one in studies])
        mean = np.mean([one.values[name].mean for one in studies])
        assert covered >= 0.9, name
        assert mean == pytest.approx(VALUE, rel=0.03), name
    assert np.mean([one.diagnosis.mean_weight for one in studies]) == pytest.approx(1, abs=0.02)


def test_bernstein_intervals_are_wider_and_cover() -> None:
    config = OffPolicyConfig(clip=20.0, interval=IntervalKind.BERNSTEIN)
    for seed in range(8):
        found, drawn = study(seed, config=config).values, study(seed).values
        assert set(found) == {"ips", "dr"}
        assert not found["ips"].excludes(VALUE)
        assert found["ips"].high - found["ips"].low > drawn["ips"].high - drawn["ips"].low


def test_the_logging_policy_itself_is_estimated_exactly() -> None:
    random = np.random.default_rng(3)
    rewards, chance = random.random(200), random.uniform(0.1, 1, 200)
    found = evaluate(Log.of(rewards, chance, chance))
    for estimate in found.values.values():
        assert estimate == found.logging
    assert found.diagnosis.effective_sample_size == pytest.approx(200)


def test_known_answers() -> None:
    log = Log.of([1, 0, 1, 0], [0.5, 0.5, 0.25, 0.25], [0.5, 0.25, 0.5, 0.0])
    found = evaluate(log)
    assert found.values["ips"].mean == pytest.approx((1 + 2) / 4)
    assert found.values["snips"].mean == pytest.approx(3 / 3.5)
    assert found.diagnosis.effective_sample_size == pytest.approx(3.5**2 / (1 + 0.25 + 4))
    clipped = evaluate(log, OffPolicyConfig(clip=1.5))
    assert clipped.values["ips"].mean == pytest.approx((1 + 1.5) / 4)
    assert (clipped.diagnosis.clipped, clipped.diagnosis.largest_weight) == (1, 1.5)


def test_rows_of_a_group_are_drawn_together() -> None:
    random = np.random.default_rng(4)
    rewards = np.repeat(random.random(100), 10)
    alone = evaluate(Log.of(rewards, np.ones(1000), np.ones(1000))).values["ips"]
    grouped = evaluate(Log.of(rewards, np.ones(1000), np.ones(1000), np.repeat(np.arange(100), 10))).values["ips"]
    assert (grouped.high - grouped.low) / (alone.high - alone.low) == pytest.approx(np.sqrt(10), rel=0.15)


def test_an_estimated_policy_widens_the_interval() -> None:
    random = np.random.default_rng(5)
    uniform = np.full(SHAPE, 1 / ACTIONS)
    contexts, actions, rewards = play(random, 20_000, uniform)
    own = play(random, 60, TARGET)[:2]
    policy = TargetPolicy.of((contexts, actions), own, SHAPE)
    log = Log.of(rewards, uniform[contexts, actions], policy.of_rows)
    known, estimated = evaluate(log, CONFIG).values["ips"], evaluate(log, CONFIG, policy).values["ips"]
    assert estimated.high - estimated.low > 1.3 * (known.high - known.low)


def test_what_the_log_never_shows_is_reported() -> None:
    cells = np.zeros(4, np.int64), np.array([0, 0, 1, 1])
    own = np.zeros(4, np.int64), np.array([0, 1, 2, 2])
    assert TargetPolicy.of(cells, own, (1, 3)).unsupported == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r"context\[0\]"):
        TargetPolicy.of(cells, (np.ones(4, np.int64), own[1]), (2, 3))


def test_a_row_is_not_predicted_from_itself() -> None:
    rewards = np.zeros(50)
    rewards[7] = 1000.0
    cells = np.zeros(50, np.int64), np.zeros(50, np.int64)
    model = RewardModel.fit(cells, rewards, np.arange(50), (1, 1))
    assert model.predicted[7] == 0.0


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.1, np.nan])
def test_a_bad_propensity_is_refused_by_row(bad: float) -> None:
    with pytest.raises(ValueError, match=r"propensity\[2\] is .*: must be > 0 and <= 1"):
        Log.of([0, 0, 0], [0.5, 0.5, bad], [0.5, 0.5, 0.5])


def test_other_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"target\[0\] is 2.0"):
        Log.of([0], [0.5], [2.0])
    with pytest.raises(ValueError, match="equally many"):
        Log.of([0, 1], [0.5], [0.5])
    with pytest.raises(ValueError, match="clip is None"):
        OffPolicyConfig(interval=IntervalKind.BERNSTEIN)
    with pytest.raises(ValueError, match="target is 0 in every row"):
        evaluate(Log.of([0], [0.5], [0.0]))
