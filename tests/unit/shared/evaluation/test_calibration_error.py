from __future__ import annotations

import numpy as np
import pytest

from shared.evaluation.calibration_error import expected_calibration_error, reliability


def test_calibrated_predictions_have_a_small_error_and_overconfident_ones_not() -> None:
    random = np.random.default_rng(0)
    chance = random.beta(1, 20, 40_000)
    outcomes = random.random(40_000) < chance
    assert expected_calibration_error(chance, outcomes) < 0.006
    doubled = expected_calibration_error(np.minimum(chance * 2, 1), outcomes)
    assert doubled == pytest.approx(chance.mean(), rel=0.1)


def test_bins_hold_equal_mass_and_equal_predictions_stay_together() -> None:
    random = np.random.default_rng(1)
    curve = reliability(random.random(1500), random.integers(0, 2, 1500), bins=15)
    assert curve.counts.tolist() == [100] * 15
    assert (np.diff(curve.predicted) > 0).all()
    tied = reliability([0.1] * 50 + [0.9] * 50, [0, 1] * 50, bins=10)
    assert tied.counts.tolist() == [50, 50]
    assert tied.predicted.tolist() == pytest.approx([0.1, 0.9])
    assert ((tied.low < tied.observed) & (tied.observed < tied.high)).all()


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"predicted\[1\] is 1.5: must be within 0..1"):
        expected_calibration_error([0.5, 1.5], [0, 1])
    with pytest.raises(ValueError, match=r"outcomes\[0\] is 2.0: must be 0 or 1"):
        expected_calibration_error([0.5], [2])
