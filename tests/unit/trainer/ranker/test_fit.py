from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.trainer.datasets.leaks import LeakConfig
from services.trainer.learning.interactions import EventKind
from services.trainer.ranker.candidates import CandidateConfig
from services.trainer.ranker.data_set import DataConfig
from services.trainer.ranker.errors import NothingToRank
from services.trainer.ranker.export import run_amounts, run_graph
from services.trainer.ranker.fit import RankerConfig, fit_ranker, moments_of
from services.trainer.ranker.multitask import MultiTaskConfig
from services.trainer.ranker.scorers import TreesScorer
from services.trainer.ranker.trees import TreesConfig, drawn, fit_trees
from shared.features.registry import FEATURES, GROUPS
from tests.unit.trainer.ranker.examples import examples
from tests.unit.trainer.ranker.shop import DAY, NEIGHBOURS, content, rows

TREES = TreesConfig(rounds=40, leaves=7, least_examples=20, rate=0.1)
CONFIG = RankerConfig(
    data=DataConfig(neighbours=NEIGHBOURS, candidates=CandidateConfig(channel=15)),
    trees=TREES,
    multitask=MultiTaskConfig(epochs=2, batch=512),
    leaks=LeakConfig(users=15),
    moments=2,
)


def quiet(step: str, done: int, total: int) -> None:
    """Nobody listens."""


def test_a_ranker_is_learnt_and_written(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    result = fit_ranker(rows(), content(), CONFIG, lambda *step: steps.append(step))
    result.write(tmp_path)
    found = json.loads((tmp_path / "ranker.json").read_text())
    assert set(found["features"]) <= set(FEATURES)
    # Nobody has a behaviour vector here, so that nothing was learnt of it.
    assert not {"behaviour", "behaviour_place", "channel_behaviour"} & set(found["features"])
    assert len(found["baseline"]) == len(found["features"]) == len(found["groups"])
    assert set(found["groups"].values()) <= set(GROUPS)
    assert (found["tasks"], found["weights"]) == (["purchase"], [1.0])
    names = ("lightgbm", "mmoe", "ensemble")
    metrics = found["metrics"]
    sums = {name: metrics[f"{name}_ndcg_all"] + metrics[f"{name}_ndcg_new"] for name in names}
    assert sums[found["model"]] == max(sums.values())
    assert 0.5 < metrics[f"{found['model']}_auc"] <= 1.0
    assert metrics["ece_purchase"] < 0.1
    columns = [result.evidence.data.names.index(name) for name in found["features"]]
    scores = run_graph((tmp_path / "ranker.onnx").read_bytes(), result.evidence.data.features[:, columns])
    assert scores.shape == (len(result.evidence.data), 1)
    assert ((scores >= 0.0) & (scores <= 1.0)).all()
    assert all(done <= total for _, done, total in steps)


def test_a_ranker_of_a_shop_with_prices_foretells_amounts(tmp_path: Path) -> None:
    plain, priced = (fit_ranker(rows(paid=paid), content(), CONFIG, quiet) for paid in (False, True))
    priced.write(tmp_path)
    found = json.loads((tmp_path / "ranker.json").read_text())
    assert (found["amounts"], plain.description.amounts) == (True, False)
    assert found["metrics"]["amounts_foretold_to_paid"] == pytest.approx(1.0, abs=0.3)
    assert priced.evidence.amounts is not None
    assert plain.evidence.amounts is None
    # The order by probability is the same one.
    np.testing.assert_array_equal(priced.evidence.scores, plain.evidence.scores)
    columns = [priced.evidence.data.names.index(name) for name in found["features"]]
    features = priced.evidence.data.features[:, columns]
    np.testing.assert_array_equal(run_graph(priced.graph, features), run_graph(plain.graph, features))
    amounts = run_amounts(priced.graph, features)
    assert amounts.shape == (len(features),)
    assert ((amounts > 0.0) & np.isfinite(amounts)).all()


def test_the_same_rows_give_the_same_ranker() -> None:
    config = replace(CONFIG, trees=replace(TREES, rounds=5), multitask=MultiTaskConfig(epochs=1))
    one, other = (fit_ranker(rows(people=25), content(), config, quiet) for _ in range(2))
    assert one.description == other.description
    features = np.random.default_rng(0).normal(size=(50, len(one.description.features))).astype(np.float32)
    np.testing.assert_array_equal(run_graph(one.graph, features), run_graph(other.graph, features))


def test_rows_that_are_too_few_are_refused() -> None:
    with pytest.raises(NothingToRank, match="must reach back 84 days, and reach back"):
        fit_ranker(rows(days=60), content(), CONFIG, quiet)
    with pytest.raises(NothingToRank, match="nothing was bought"):
        fit_ranker(rows().of_kind(EventKind.PRODUCT_VIEW), content(), CONFIG, quiet)


def test_moments_leave_a_window_before_the_first() -> None:
    events = rows()
    moments = moments_of(events, replace(CONFIG, moments=9))
    assert moments[0] == events.end_time_s + 1 - 28 * DAY
    assert set(np.diff(moments).tolist()) == {-28 * DAY}
    assert moments[-1] - 28 * DAY >= events.times_s.min() > moments[-1] - 56 * DAY


@pytest.mark.parametrize("objective", ["binary", "lambdarank"])
def test_trees_find_the_rule(objective: str) -> None:
    data, unseen = examples(persons=80), examples(persons=40, seed=1)
    trees = fit_trees(data, replace(TREES, objective=objective), quiet)
    assert trees.new is not None
    logits = trees.logits(unseen.features)
    for segment in (unseen.known, ~unseen.known):
        assert np.corrcoef(logits[segment], unseen.features[segment, 1])[0, 1] > 0.85


def test_drawn_examples_stand_for_all() -> None:
    data = examples(persons=400)
    chosen, weights = drawn(data, data.known, replace(TREES, negatives=0.25))
    assert data.known[chosen].all()
    bought = data.labels[:, 0] > 0
    assert (bought & data.known).sum() == bought[chosen].sum()
    assert weights.sum() == pytest.approx(data.known.sum(), rel=0.03)


def test_without_first_purchases_one_model_scores_all() -> None:
    data = examples()
    data.labels[~data.known, 0] = 0
    trees = fit_trees(data, TREES, quiet)
    assert trees.new is None
    assert np.isfinite(trees.logits(data.features)).all()
    graph = TreesScorer(trees).graph(data)
    assert run_graph(graph, data.features).shape == (len(data), 1)


def test_without_repeats_there_is_nothing_to_rank() -> None:
    data = examples()
    data.labels[data.known, 0] = 0
    with pytest.raises(NothingToRank, match="again"):
        fit_trees(data, TREES, quiet)
