"""Probabilities mean what they say, and the order stays."""

import numpy as np
import pytest

from services.trainer.ranker.calibrate import Platt, hold_out_persons
from shared.evaluation.calibration_error import expected_calibration_error
from tests.unit.trainer.ranker.examples import chance


def overconfident(count=20_000, seed=0):
    random = np.random.default_rng(seed)
    odds = random.normal(-2.0, 1.0, count)
    return 3.0 * odds + 1.0, (random.random(count) < chance(odds)).astype(np.int8)


def test_an_overconfident_model_becomes_calibrated():
    logits, outcomes = overconfident()
    platt = Platt.fitted(logits, outcomes)
    others, theirs = overconfident(seed=1)
    assert expected_calibration_error(Platt()(others), theirs) > 0.05
    assert expected_calibration_error(platt(others), theirs) < 0.01
    assert platt.slope == pytest.approx(1 / 3, rel=0.05)


def test_the_order_stays_even_of_a_model_that_is_wrong():
    logits, outcomes = overconfident()
    scaled = Platt.fitted(-logits, outcomes)(np.array([-1.0, 0.0, 1.0]))
    assert (np.diff(scaled) > 0).all()


@pytest.mark.parametrize("outcome", [0, 1])
def test_outcomes_of_one_kind_give_a_probability_that_is_not_certain(outcome):
    probabilities = Platt.fitted(np.linspace(-1, 1, 8), np.full(8, outcome))(np.linspace(-1, 1, 8))
    assert ((probabilities > 0.02) & (probabilities < 0.98)).all()
    assert (probabilities.mean() > 0.5) == bool(outcome)


def test_extreme_log_odds_stay_finite():
    assert Platt()(np.array([-1e4, 1e4])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("logits, outcomes", [(np.empty(0), np.empty(0)), (np.zeros(3), np.zeros(2))])
def test_columns_that_do_not_fit_are_refused(logits, outcomes):
    with pytest.raises(ValueError, match="shape"):
        Platt.fitted(logits, outcomes)


@pytest.mark.parametrize("count, held", [(0, 0), (1, 0), (2, 1), (3, 1), (100, 20)])
def test_some_persons_are_held_out_and_never_all(count, held):
    chosen = hold_out_persons(count, 0.2, seed=3)
    assert (len(chosen), chosen.sum()) == (count, held)
    assert (chosen == hold_out_persons(count, 0.2, seed=3)).all()
