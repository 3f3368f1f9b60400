"""The gate lets through what is better, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from services.trainer.domain import Gate
from services.trainer.job.gate import ALL, NEW, Contender, Facts, GateConfig, judged
from services.trainer.ranker.data_set import RankerData
from shared.features.registry import FEATURES

PEOPLE, EACH = 120, 30
FACTS = Facts(calibration_error=0.01, latency_ms=2.0)


def examples(seed: int = 3) -> tuple[RankerData, np.ndarray]:
    """Candidates of which a third was bought before, and the chance by which each is bought."""
    random = np.random.default_rng(seed)
    count = PEOPLE * EACH
    names = tuple(FEATURES)
    features = random.normal(size=(count, len(names))).astype(np.float32)
    known = random.random(count) < 1 / 3
    features[:, names.index("known")] = known
    chances = random.random(count) ** 3
    bought = random.random(count) < chances
    persons = np.repeat(np.arange(PEOPLE), EACH)
    labels = np.full((count, 3), -1, np.int8)
    labels[:, 0] = bought
    data = RankerData(
        names=names,
        features=features,
        persons=persons,
        products=np.tile(np.arange(EACH, dtype=np.int32), PEOPLE),
        labels=labels,
        positions=np.full(count, -1, np.int32),
        amounts=np.full(count, np.nan, np.float32),
        users=np.arange(PEOPLE, dtype=np.int32),
        wanted=np.bincount(persons[bought], minlength=PEOPLE),
        wanted_new=np.bincount(persons[bought & ~known], minlength=PEOPLE),
    )
    return data, chances


def verdict(better_by: float, facts: Facts = FACTS, *, only_known: bool = False) -> Gate:
    """A release whose scores know more (or, below 0, less) of the chances than those of the current release."""
    data, chances = examples()
    noise = np.random.default_rng(9).random(len(chances))
    current = Contender(name="the current release", data=data, scores=0.5 * chances + 0.5 * noise)
    weight = 0.5 + better_by
    scores = weight * chances + (1.0 - weight) * noise
    if only_known:
        scores = np.where(data.known, scores, 0.1 * chances + 0.9 * noise)
    gate, metrics = judged(Contender(name="release", data=data, scores=scores), current, facts, GateConfig())
    assert {(one.slice, one.model) for one in metrics} >= {(ALL, "release"), (NEW, "the current release")}
    return gate


def test_better_outside_the_interval_passes() -> None:
    gate = verdict(0.3)
    assert gate.passed
    assert sum("better" in check for check in gate.checks) == 2


def test_as_good_and_worse_do_not() -> None:
    assert not verdict(0.0).passed
    assert "refused" in verdict(0.0).checks[-1]
    worse = verdict(-0.3)
    assert not worse.passed
    assert any("worse" in check for check in worse.checks)


def test_better_on_one_slice_at_the_cost_of_another_does_not() -> None:
    gate = verdict(0.3, only_known=True)
    assert not gate.passed
    assert any(NEW in check and "worse" in check for check in gate.checks)


def test_probabilities_that_say_something_else_and_slow_models_do_not() -> None:
    uncalibrated = verdict(0.3, replace(FACTS, calibration_error=0.05))
    assert not uncalibrated.passed
    assert any("0.0500" in check and "broken" in check for check in uncalibrated.checks)
    slow = verdict(0.3, replace(FACTS, latency_ms=99.0))
    assert not slow.passed
    assert any("99.0 ms" in check and "broken" in check for check in slow.checks)
