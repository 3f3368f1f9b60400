"""Several rankers as one: the mean of their log-odds, in one graph.

Trees, network and the hand-fitted blend err apart: on the demo's validation weeks their mean is better than each.

Legend: B candidates, F features, K tasks, S segments (bought before, new).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from services.trainer.domain import Floats
from services.trainer.ranker.calibrate import Platt
from services.trainer.ranker.data_set import RankerData, Task
from services.trainer.ranker.export import FORMAT, OPSET, run_graph
from services.trainer.ranker.scorers import Scorer
from shared.features import blend
from shared.features.columns import Doubles

SMALLEST = 1e-6
"""Probabilities are kept so far from 0 and 1, so that their log-odds are finite in 32 bits."""


@dataclass(frozen=True)
class MeanScorer:
    """The purchase is the mean of all members; further tasks are those of the last member."""

    members: tuple[Scorer, ...]

    @property
    def tasks(self) -> tuple[Task, ...]:
        return self.members[-1].tasks

    def graph(self, held: RankerData) -> bytes:
        graphs = [member.graph(held) for member in self.members]
        scores = run_graph(mean_graph(graphs, Platt(), len(held.names)), held.features)
        return mean_graph(graphs, _fitted(scores, held), len(held.names))


@dataclass(frozen=True)
class BlendScorer:
    """The blend that serves where nothing was learnt: one linear model for each segment."""

    tasks: tuple[Task, ...] = (Task.PURCHASE,)

    def graph(self, held: RankerData) -> bytes:
        scores = run_graph(blend_graph(held.names, Platt()), held.features)
        return blend_graph(held.names, _fitted(scores, held))


def mean_graph(members: Sequence[bytes], calibration: Platt, features: int) -> bytes:
    """Graphs from features to probabilities `[B, K]` as one; the first column is the one that they share."""
    nodes: list[Any] = []
    constants = _scaling(calibration) | {
        "share": np.float32(1.0 / len(members)),
        "low": np.float32(SMALLEST),
        "high": np.float32(1.0 - SMALLEST),
        "one": np.float32(1.0),
        "first": np.array([0], np.int64),
        "second": np.array([1], np.int64),
        "end": np.array([np.iinfo(np.int64).max], np.int64),
    }
    initializers, domains = [], {"": OPSET}
    for place, content in enumerate(members):
        member = compose.add_prefix(onnx.load_from_string(content), f"m{place}_", rename_inputs=False)
        nodes += [*member.graph.node, *_log_odds(f"m{place}_")]
        initializers += list(member.graph.initializer)
        domains |= {one.domain: one.version for one in member.opset_import if one.domain}
    last = f"m{len(members) - 1}_scores"
    nodes += [
        helper.make_node("Sum", [f"m{place}_odds" for place in range(len(members))], ["sum"]),
        helper.make_node("Mul", ["sum", "share"], ["raw"]),
        *_scaled("raw", "purchase"),
        helper.make_node("Slice", [last, "second", "end", "second"], ["others"]),
        helper.make_node("Concat", ["purchase", "others"], ["scores"], axis=1),
    ]
    return _model(nodes, [*initializers, *_tensors(constants)], features, domains)


def blend_graph(names: Sequence[str], calibration: Platt) -> bytes:
    """A feature that is not among the names counts as its mean."""
    rows = (blend.KNOWN, blend.NEW)
    weights_FS = np.zeros((len(names), len(rows)), np.float32)
    intercepts_S = np.array([row.intercept for row in rows], np.float32)
    for place, row in enumerate(rows):
        for name, term in row.terms.items():
            if name in names:
                weights_FS[list(names).index(name), place] = term.weight
            else:
                intercepts_S[place] += term.weight * term.mean
    constants = _scaling(calibration) | {
        "weights": weights_FS,
        "intercepts": intercepts_S,
        "half": np.float32(0.5),
        "place": np.array([list(names).index("known")], np.int64),
        "known": np.array([0], np.int64),
        "new": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Gemm", ["features", "weights", "intercepts"], ["segments"]),
        helper.make_node("Gather", ["segments", "known"], ["known_odds"], axis=1),
        helper.make_node("Gather", ["segments", "new"], ["new_odds"], axis=1),
        helper.make_node("Gather", ["features", "place"], ["bought"], axis=1),
        helper.make_node("Greater", ["bought", "half"], ["is_known"]),
        helper.make_node("Where", ["is_known", "known_odds", "new_odds"], ["raw"]),
        *_scaled("raw", "scores"),
    ]
    return _model(nodes, _tensors(constants), len(names), {"": OPSET})


def log_odds(chances: Floats) -> Doubles:
    """Of probabilities `[B]`, kept finite as in the graph."""
    kept = np.clip(chances.astype(np.float64), SMALLEST, 1.0 - SMALLEST)
    return np.asarray(np.log(kept / (1.0 - kept)))


def _fitted(scores: Floats, held: RankerData) -> Platt:
    labels = held.labels[:, Task.PURCHASE]
    return Platt.fitted(log_odds(scores[:, 0]), labels) if len(np.unique(labels)) > 1 else Platt()


def _log_odds(prefix: str) -> list[Any]:
    """Nodes from `{prefix}scores` to the log-odds of its first column."""
    steps = (
        ("Clip", ("column", "low", "high"), "kept"),
        ("Sub", ("one", "kept"), "rest"),
        ("Div", ("kept", "rest"), "ratio"),
        ("Log", ("ratio",), "odds"),
    )
    shared = {"low", "high", "one"}
    gather = helper.make_node("Gather", [f"{prefix}scores", "first"], [f"{prefix}column"], axis=1)
    return [gather] + [
        helper.make_node(kind, [x if x in shared else prefix + x for x in inputs], [prefix + output])
        for kind, inputs, output in steps
    ]


def _scaling(calibration: Platt) -> dict[str, Any]:
    return {"slope": np.float32(calibration.slope), "intercept": np.float32(calibration.intercept)}


def _scaled(raw: str, output: str) -> list[Any]:
    return [
        helper.make_node("Mul", [raw, "slope"], ["steep"]),
        helper.make_node("Add", ["steep", "intercept"], ["calibrated"]),
        helper.make_node("Sigmoid", ["calibrated"], [output]),
    ]


def _tensors(constants: dict[str, Any]) -> list[Any]:
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]


def _model(nodes: list[Any], initializers: list[Any], features: int, domains: dict[str, int]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "ranker",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", features])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", "tasks"])],
        initializers,
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    model = helper.make_model(graph, opset_imports=imports, ir_version=FORMAT, producer_name="mercato")
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
