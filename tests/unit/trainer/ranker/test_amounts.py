"""What is spent on a purchase is foretold without bias, and changes nothing else."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from services.trainer.ranker.amounts import LEAST_EXAMPLES, gamma_loss, level_of
from services.trainer.ranker.calibrate import Platt
from services.trainer.ranker.export import multitask_graph, run_amounts, run_graph, with_amounts
from services.trainer.ranker.multitask import MultiTaskConfig, fit_multitask
from services.trainer.recommenders.interface import no_report
from tests.unit.trainer.ranker.examples import examples, mean_amount

CONFIG = MultiTaskConfig(experts=2, hidden=(16, 8), tower=8, dropout=0.1, epochs=8, batch=256, rate=1e-2)


@pytest.fixture(scope="module")
def fitted():
    return fit_multitask(examples(persons=300, paid=True), CONFIG, no_report)


def test_the_mean_is_foretold_not_the_geometric_mean(fitted):
    others = examples(persons=100, seed=1).features
    foretold, truth = fitted.amounts(others), mean_amount(others)
    assert np.corrcoef(np.log(foretold), np.log(truth))[0, 1] > 0.9
    # Of this spread the exponential of the mean logarithm is about half of the mean.
    assert foretold.mean() == pytest.approx(truth.mean(), rel=0.1)


def test_learning_amounts_changes_no_other_task(fitted):
    data = examples(persons=300, paid=True)
    without = fit_multitask(replace(data, amounts=np.full(len(data), np.nan, np.float32)), CONFIG, no_report)
    assert without.amounts(data.features) is None
    np.testing.assert_array_equal(fitted.logits(data.features), without.logits(data.features))


def test_few_amounts_are_not_learnt_from():
    data = examples(persons=60, paid=True)
    data.amounts[np.flatnonzero(np.isfinite(data.amounts))[LEAST_EXAMPLES - 1 :]] = np.nan
    assert fit_multitask(data, replace(CONFIG, epochs=1), no_report).amounts(data.features) is None


def test_values_that_learning_did_not_meet_stay_within_what_was_paid(fitted):
    far = np.full((2, 3), 1e6, np.float32) * np.array([[1.0], [-1.0]], np.float32)
    paid = examples(persons=300, paid=True).amounts
    amounts = fitted.amounts(far)
    assert (amounts <= np.nanmax(paid)).all()
    assert (amounts > 0.0).all()


def test_the_graph_has_amounts_beside_scores_that_stay_as_they_are(fitted):
    data = examples(seed=2)
    scores = multitask_graph(fitted, [Platt(0.5, -1.0)])
    whole = with_amounts(scores, fitted, 1.5)
    np.testing.assert_array_equal(run_graph(whole, data.features), run_graph(scores, data.features))
    np.testing.assert_allclose(run_amounts(whole, data.features), 1.5 * fitted.amounts(data.features), rtol=1e-5)
    session = onnxruntime.InferenceSession(whole)
    assert [output.name for output in session.get_outputs()] == ["scores", "amounts"]
    assert session.run(["amounts"], {"features": data.features[:7]})[0].shape == (7, 1)
    onnx.checker.check_model(onnx.load_from_string(whole))


def test_a_network_without_amounts_has_none_to_add():
    network = fit_multitask(examples(), replace(CONFIG, epochs=1), no_report)
    with pytest.raises(ValueError, match="no amounts"):
        with_amounts(b"", network, 1.0)


def test_the_loss_is_least_at_the_mean_and_counts_what_is_known():
    paid = torch.tensor([1.0, 3.0, float("nan")])
    losses = {mean: gamma_loss(torch.full((3,), mean).log(), paid).item() for mean in (1.0, 2.0, 4.0)}
    assert min(losses, key=losses.get) == 2.0
    assert losses[2.0] == pytest.approx(1.0 + np.log(2.0))
    assert gamma_loss(torch.zeros(2), torch.full((2,), float("nan"))).item() == 0.0


def test_the_level_makes_sums_equal_where_much_is_known():
    foretold = np.full(10_000, 2.0, np.float32)
    assert level_of(foretold, np.full(10_000, 3.0, np.float32)) == pytest.approx(1.5, rel=0.01)
    assert level_of(foretold, np.full(10_000, np.nan, np.float32)) == 1.0
    few = np.full(10_000, np.nan, np.float32)
    few[0] = 100.0
    assert 1.0 < level_of(foretold, few) < 4.0
