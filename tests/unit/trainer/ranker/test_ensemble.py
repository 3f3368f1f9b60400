"""The mean of several rankers is what its members say."""

from dataclasses import replace

import numpy as np
import pytest

from services.trainer.ranker.calibrate import Platt
from services.trainer.ranker.ensemble import BlendScorer, MeanScorer, blend_graph, log_odds, mean_graph
from services.trainer.ranker.export import run_graph
from services.trainer.ranker.multitask import MultiTaskConfig, fit_multitask
from services.trainer.ranker.scorers import MultiTaskScorer, TreesScorer
from services.trainer.ranker.trees import TreesConfig, fit_trees
from services.trainer.ranker.validate import blend_scores
from services.trainer.recommenders.interface import no_report
from shared.evaluation.calibration_error import expected_calibration_error
from shared.features import blend
from tests.unit.trainer.ranker.examples import NAMES, chance, examples

NETWORK = MultiTaskConfig(hidden=(8, 4), tower=4, epochs=2, batch=512)
TREES = TreesConfig(rounds=10, least_examples=20)


@pytest.fixture(scope="module")
def members():
    data = examples(shown=True)
    network = MultiTaskScorer(fit_multitask(data, NETWORK, no_report))
    return TreesScorer(fit_trees(data, TREES, no_report)), BlendScorer(), network


def test_purchases_are_the_mean_of_log_odds_and_clicks_those_of_the_last(members):
    held, others = examples(seed=1, shown=True), examples(seed=2).features
    graphs = [member.graph(held) for member in members]
    alone = [run_graph(graph, others) for graph in graphs]
    scores = run_graph(mean_graph(graphs, Platt(0.8, -0.1), len(NAMES)), others)
    mean = np.mean([log_odds(one[:, 0]) for one in alone], axis=0)
    assert MeanScorer(members).tasks == members[-1].tasks
    assert scores.shape == (len(others), 2)
    assert np.abs(scores[:, 0] - Platt(0.8, -0.1)(mean)).max() <= 1e-5
    assert (scores[:, 1] == alone[-1][:, 1]).all()


def test_members_of_one_task_give_one_column(members):
    held = examples(seed=1)
    assert run_graph(MeanScorer(members[:2]).graph(held), held.features).shape == (len(held), 1)


def test_the_mean_is_calibrated(members):
    held, others = examples(seed=1), examples(seed=2)
    scores = run_graph(MeanScorer(members[:2]).graph(held), others.features)[:, 0]
    assert expected_calibration_error(scores, others.labels[:, 0]) < 0.05


def test_the_blend_is_the_one_that_serves():
    names = ("known", *dict.fromkeys([*blend.KNOWN.terms, *blend.NEW.terms]))
    data = examples()
    features = np.random.default_rng(3).normal(size=(len(data), len(names))).astype(np.float32)
    features[:, 0] = data.features[:, 0]
    data = replace(data, names=names, features=features)
    scores = run_graph(blend_graph(names, Platt(0.5, -1.0)), features)[:, 0]
    assert np.abs(scores - chance(0.5 * blend_scores(data) - 1.0)).max() <= 1e-5


def test_a_feature_that_never_varied_counts_as_its_mean():
    row = np.zeros((1, 1), np.float32)
    score = log_odds(run_graph(blend_graph(("known",), Platt()), row)[:, 0])
    assert score == pytest.approx([blend.NEW.constant], abs=1e-3)
