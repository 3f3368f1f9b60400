from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from shared.evaluation.drift import Level, Reference, stability, stability_by_feature


def test_known_answer() -> None:
    reference = Reference(edges=[0.0], counts=[500_000, 500_000, 0])
    found = stability(reference, np.r_[np.full(600_000, -1.0), np.full(400_000, 1.0)])
    assert found.index == pytest.approx(0.1 * np.log(1.2) - 0.1 * np.log(0.8), rel=1e-4)


def test_levels_follow_the_shift() -> None:
    random = np.random.default_rng(0)
    reference = Reference.of(random.normal(size=20_000))
    levels = [stability(reference, random.normal(shift, size=20_000)).level for shift in (0.0, 0.4, 1.0)]
    assert levels == [Level.STABLE, Level.MOVED, Level.SHIFTED]


def test_a_small_sample_is_no_drift() -> None:
    random = np.random.default_rng(1)
    reference = Reference.of(random.normal(size=5000))
    found = [stability(reference, random.normal(size=40)) for _ in range(200)]
    assert np.mean([one.index > 0.1 for one in found]) > 0.5, "the custom alone would raise alarms"
    assert np.mean([one.level is not Level.STABLE for one in found]) <= 0.1
    assert 0.5 <= np.mean([one.index for one in found]) / (9 * (1 / 5000 + 1 / 40)) <= 1.5


def test_empty_bins_and_missing_values_are_counted() -> None:
    reference = Reference.of(np.arange(1000.0))
    elsewhere = stability(reference, np.full(1000, 5000.0))
    missing = stability(reference, np.full(1000, np.nan))
    assert np.isfinite([elsewhere.index, missing.index]).all()
    assert elsewhere.level is missing.level is Level.SHIFTED


def test_discrete_features_and_json() -> None:
    flags = np.r_[np.zeros(900), np.ones(100)]
    reference = Reference(**json.loads(json.dumps(dataclasses.asdict(Reference.of(flags)))))
    assert list(reference.counts) == [900, 100, 0]
    assert stability(reference, flags).index == pytest.approx(0)
    constant = Reference.of(np.ones(100))
    assert stability(constant, np.ones(50)).level is Level.STABLE


def test_features_are_named() -> None:
    references = {"price": Reference.of(np.arange(100.0)), "age": Reference.of(np.arange(100.0))}
    found = stability_by_feature(references, {"price": np.arange(100.0), "age": np.full(100, 99.0)})
    assert list(found) == ["age", "price"]
    with pytest.raises(ValueError, match=r"lacks \['age'\]"):
        stability_by_feature(references, {"price": np.arange(100.0)})
