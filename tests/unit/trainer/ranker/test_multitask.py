"""The network learns several tasks at once, from what is known of each."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from services.trainer.ranker.data_set import UNKNOWN, Task
from services.trainer.ranker.errors import NothingToRank
from services.trainer.ranker.multitask import MultiTaskConfig, fit_multitask, masked_loss
from services.trainer.recommenders.interface import no_report
from tests.unit.trainer.ranker.examples import examples

CONFIG = MultiTaskConfig(experts=2, hidden=(16, 8), tower=8, dropout=0.0, epochs=8, batch=256, rate=1e-2)


def correlation(left, right):
    return np.corrcoef(left, right)[0, 1]


@pytest.fixture(scope="module")
def shown():
    return examples(persons=150, shown=True, place_effect=0.2)


@pytest.fixture(scope="module")
def fitted(shown):
    return fit_multitask(shown, CONFIG, no_report)


def test_each_task_learns_its_own_rule(fitted):
    others = examples(seed=1).features
    purchase, click = fitted.logits(others).T
    assert fitted.tasks == (Task.PURCHASE, Task.CLICK)
    assert correlation(purchase, 2.0 * others[:, 1] + others[:, 0]) > 0.95
    assert correlation(click, others[:, 1]) > 0.95


def test_clicks_are_scored_as_in_the_first_place(fitted):
    """Half of the clicks of later places were never made because they stood there: serving must not miss them."""
    others = examples(persons=100, seed=1, shown=True).features
    chances = 1.0 / (1.0 + np.exp(-fitted.logits(others)[:, 1]))
    truth = 1.0 / (1.0 + np.exp(-others[:, 1]))
    assert abs(chances.mean() - truth.mean()) < 0.08
    assert fitted.net.biases(torch.tensor([15]))[0, 1] < -1.0
    assert fitted.net.biases(torch.tensor([0, UNKNOWN])).abs().max() == 0.0


def test_tasks_of_which_nothing_is_known_are_left_out():
    assert fit_multitask(examples(), replace(CONFIG, epochs=1), no_report).tasks == (Task.PURCHASE,)


def test_without_any_outcome_there_is_nothing_to_learn():
    data = examples()
    with pytest.raises(NothingToRank):
        fit_multitask(data.where(data.labels[:, 0] == 0), CONFIG, no_report)


def test_the_same_examples_give_the_same_network():
    data, config = examples(), replace(CONFIG, epochs=1, dropout=0.2)
    first, second = (fit_multitask(data, config, no_report).logits(data.features) for _ in range(2))
    assert (first == second).all()


def test_a_feature_without_variation_changes_nothing():
    data = examples()
    data.features[:, 2] = 5.0
    model = fit_multitask(data, replace(CONFIG, epochs=1), no_report)
    moved = data.features.copy()
    moved[:, 2] = 1e6
    assert (model.logits(moved) == model.logits(data.features)).all()


def test_drawn_examples_stand_for_all():
    """Few of those without an outcome are drawn; the mean probability is that of all examples all the same."""
    data = examples(persons=150)
    model = fit_multitask(data, replace(CONFIG, negatives=0.5), no_report)
    chances = 1.0 / (1.0 + np.exp(-model.logits(data.features)[:, 0]))
    assert abs(chances.mean() - data.labels[:, 0].mean()) < 0.03


def test_unknown_outcomes_do_not_count():
    odds, weights = torch.tensor([[0.5, 9.0], [-0.5, 0.2]]), torch.ones(2)
    masked = masked_loss(odds, torch.tensor([[1, UNKNOWN], [0, 1]], dtype=torch.int8), weights)
    alone = masked_loss(odds[:, :1], torch.tensor([[1], [0]], dtype=torch.int8), weights)
    rest = masked_loss(odds[1:, 1:], torch.tensor([[1]], dtype=torch.int8), weights[1:])
    assert masked.item() == pytest.approx(alone.item() + rest.item())


def test_progress_is_told():
    told = []
    fit_multitask(examples(), replace(CONFIG, epochs=2), lambda *step: told.append(step[1:]))
    assert told == [(1, 2), (2, 2)]
