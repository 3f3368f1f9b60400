"""The files say what the model says."""

import json

import lightgbm
import numpy as np
import pytest

from services.trainer.ranker.calibrate import Platt
from services.trainer.ranker.export import (
    CalibratedTrees,
    Description,
    baselines,
    grouped,
    multitask_graph,
    run_graph,
    trees_graph,
    write_ranker,
)
from services.trainer.ranker.multitask import MultiTaskConfig, fit_multitask
from services.trainer.recommenders.interface import no_report
from tests.unit.trainer.ranker.examples import NAMES, examples

OBJECTIVES = ("binary", "lambdarank")


def trees(objective, data, calibration, seed=0):
    group = np.bincount(data.persons) if objective == "lambdarank" else None
    settings = {"objective": objective, "num_leaves": 7, "num_threads": 1, "verbose": -1, "seed": seed}
    rows = lightgbm.Dataset(data.features, data.labels[:, 0], group=group)
    return CalibratedTrees(lightgbm.train(settings, rows, num_boost_round=20), calibration)


def expected(trees, features):
    return trees.calibration(trees.booster.predict(features, raw_score=True))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_one_set_of_trees_scores_everything(objective):
    data, others = examples(), examples(seed=1).features
    fitted = trees(objective, data, Platt(0.7, -0.3))
    scores = run_graph(trees_graph(fitted, None, NAMES), others)
    assert scores.shape == (len(others), 1)
    assert np.abs(scores[:, 0] - expected(fitted, others)).max() <= 1e-5


def test_new_products_have_trees_of_their_own():
    data, others = examples(), examples(seed=1).features
    known, new = trees("binary", data, Platt(0.7, -0.3)), trees("lambdarank", examples(seed=2), Platt(1.2, -1.0))
    scores = run_graph(trees_graph(known, new, NAMES), others)[:, 0]
    chosen = np.where(others[:, 0] > 0.5, expected(known, others), expected(new, others))
    assert np.abs(scores - chosen).max() <= 1e-5
    assert np.abs(scores - expected(known, others)).max() > 0.05


def test_values_at_a_threshold_go_the_same_way():
    """Thresholds are 64 bits wide in LightGBM and 32 in ONNX; values next to them must not change sides."""
    data = examples()
    fitted = trees("binary", data, Platt())
    found = fitted.booster.trees_to_dataframe()
    splits = found[found["split_feature"] == "Column_1"]["threshold"].astype(float).to_numpy()
    near = splits.astype(np.float32)
    values = np.concatenate([np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))])
    rows = np.zeros((len(values), len(NAMES)), np.float32)
    rows[:, 1] = values
    scores = run_graph(trees_graph(fitted, None, NAMES), rows)[:, 0]
    assert len(values) > 30
    assert np.abs(scores - expected(fitted, rows)).max() <= 1e-5


def test_trees_that_never_split_are_a_constant():
    data = examples(persons=2, each=5)
    fitted = trees("binary", data, Platt())
    scores = run_graph(trees_graph(fitted, None, NAMES), data.features)[:, 0]
    assert np.abs(scores - expected(fitted, data.features)).max() <= 1e-5


@pytest.mark.parametrize("count", [1, 7, 300])
def test_the_network_is_exported_with_standardisation_and_calibration(count):
    data = examples(shown=True)
    data.features[:, 1] = 40.0 + 9.0 * data.features[:, 1]
    model = fit_multitask(data, MultiTaskConfig(experts=2, hidden=(8, 4), tower=4, epochs=2, batch=512), no_report)
    platts = (Platt(0.5, -1.0), Platt(2.0, 0.1))
    features = data.features[:count]
    scores = run_graph(multitask_graph(model, platts), features)
    logits = model.logits(features)
    wanted = np.stack([platt(logits[:, task]) for task, platt in enumerate(platts)], axis=1)
    assert scores.shape == (count, 2)
    assert np.abs(scores - wanted).max() <= 1e-5


def test_the_description_stands_beside_the_graph(tmp_path):
    data = examples()
    groups = grouped(
        NAMES, {"buy again": ("known",), "popularity": ("popularity_28", "other"), "person": ("activity",)}
    )
    description = Description(
        features=NAMES,
        baseline=baselines(data.features),
        groups=groups,
        tasks=("purchase",),
        weights=(1.0,),
        model="lightgbm",
        metrics={"ndcg": 0.4},
    )
    write_ranker(tmp_path / "new", b"graph", description)
    read = json.loads((tmp_path / "new" / "ranker.json").read_text(encoding="utf-8"))
    assert (tmp_path / "new" / "ranker.onnx").read_bytes() == b"graph"
    assert read["features"] == list(NAMES)
    assert read["groups"] == {"known": "buy again", "popularity_28": "popularity", "activity": "person"}
    assert read["baseline"] == pytest.approx(np.median(data.features, axis=0).tolist())


def test_a_feature_of_no_group_is_refused():
    with pytest.raises(KeyError, match="activity"):
        grouped(NAMES, {"buy again": ("known", "popularity_28")})
