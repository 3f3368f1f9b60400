"""A ranker as files: `ranker.onnx`, calibrated and whole, and `ranker.json`, which says how to read it.

Legend: B candidates, F features, K tasks.
"""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, compose, helper, numpy_helper
from onnxmltools.convert import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
from torch import Tensor, nn

from services.trainer.domain import Floats
from services.trainer.ranker.calibrate import Platt
from services.trainer.ranker.multitask import MultiTask, MultiTaskNet

GRAPH, DESCRIPTION = "ranker.onnx", "ranker.json"
OPSET, FORMAT = 17, 10
SCORES, AMOUNTS = "scores", "amounts"
"""Outputs of a graph; the second one only where amounts were learnt."""


@dataclass(frozen=True, slots=True)
class CalibratedTrees:
    """Trees, whatever they were fitted for: the raw score is scaled."""

    booster: lightgbm.Booster
    calibration: Platt


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What `ranker.json` holds."""

    features: tuple[str, ...]
    """In the order of the columns."""
    baseline: tuple[float, ...]
    """What is usual, by feature: an attribution puts it in the place of a group's values."""
    groups: Mapping[str, str]
    """Group by feature."""
    tasks: tuple[str, ...]
    weights: tuple[float, ...]
    """Of each task in the final score."""
    model: str
    metrics: Mapping[str, float]
    amounts: bool = False
    """Whether the graph has the output `amounts`: what is spent on a purchase within the horizon."""


def baselines(features: Floats) -> tuple[float, ...]:
    """The median of each feature over the examples."""
    return tuple(np.median(features, axis=0).astype(float).tolist())


def grouped(names: Sequence[str], groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The group of each feature. Raises KeyError for a feature of none."""
    owners = {member: group for group, members in groups.items() for member in members}
    return {name: owners[name] for name in names}


def write_ranker(folder: Path, graph: bytes, description: Description) -> None:
    """Writes both files, the description last."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / GRAPH).write_bytes(graph)
    (folder / DESCRIPTION).write_text(json.dumps(asdict(description), indent=2) + "\n", encoding="utf-8")


def run_graph(graph: bytes, features: Floats) -> Floats:
    """Scores `[B, K]` by ONNX Runtime on one thread, as serving runs it."""
    session = onnxruntime.InferenceSession(graph, _one_thread(), providers=["CPUExecutionProvider"])
    scores: Floats = session.run([SCORES], {"features": features})[0]
    return scores


def run_amounts(graph: bytes, features: Floats) -> Floats:
    """Amounts `[B]` of a graph that has them, as serving runs it."""
    session = onnxruntime.InferenceSession(graph, _one_thread(), providers=["CPUExecutionProvider"])
    amounts: Floats = session.run([AMOUNTS], {"features": features})[0]
    return amounts[:, 0]


def trees_graph(known: CalibratedTrees, new: CalibratedTrees | None, names: Sequence[str]) -> bytes:
    """One task. `known` scores every candidate, or, where there is `new`, only those that were bought before."""
    nodes, constants = _scaled_trees(known, "known", len(names))
    if new is not None:
        more, numbers = _scaled_trees(new, "new", len(names))
        nodes, constants = [*nodes, *more], {**constants, **numbers, "half": np.float32(0.5)}
        constants["place"] = np.array([list(names).index("known")], np.int64)
        nodes += [
            helper.make_node("Gather", ["features", "place"], ["bought"], axis=1),
            helper.make_node("Greater", ["bought", "half"], ["is_known"]),
            helper.make_node("Where", ["is_known", "known_chances", "new_chances"], ["scores"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["known_chances"], ["scores"]))
    graph = helper.make_graph(
        nodes,
        "ranker",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", len(names)])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=FORMAT, producer_name="mercato")
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def multitask_graph(model: MultiTask, calibrations: Sequence[Platt]) -> bytes:
    """All tasks, each scaled by its calibration."""
    return _exported(_Calibrated(model.net, calibrations), len(model.net.mean_F), SCORES)


def with_amounts(scores: bytes, model: MultiTask, level: float) -> bytes:
    """The graph with the network's amounts, times `level`, as a further output `[B, 1]`; the scores stay as they are.

    Raises ValueError when the network has learnt no amounts.
    """
    if model.net.amount is None:
        raise ValueError("the network has learnt no amounts")
    amounts = _exported(_Amounts(model.net, level), len(model.net.mean_F), AMOUNTS)
    more = compose.add_prefix(
        onnx.load_from_string(amounts), "amount_", rename_inputs=False, rename_outputs=False
    ).graph
    whole = onnx.load_from_string(scores)
    whole.graph.node.extend(more.node)
    whole.graph.initializer.extend(more.initializer)
    whole.graph.output.extend(more.output)
    onnx.checker.check_model(whole)
    content: bytes = whole.SerializeToString()
    return content


class _Calibrated(nn.Module):
    """Features to probabilities."""

    def __init__(self, net: nn.Module, calibrations: Sequence[Platt]) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("slopes_K", torch.tensor([one.slope for one in calibrations]))
        self.register_buffer("intercepts_K", torch.tensor([one.intercept for one in calibrations]))

    def forward(self, features_BF: Tensor) -> Tensor:
        return torch.sigmoid(self.net(features_BF) * self.slopes_K + self.intercepts_K)


class _Amounts(nn.Module):
    """Features to amounts `[B, 1]`."""

    def __init__(self, net: MultiTaskNet, level: float) -> None:
        super().__init__()
        self.net = net
        self.factor: Tensor
        self.register_buffer("factor", torch.tensor(level))

    def forward(self, features_BF: Tensor) -> Tensor:
        assert self.net.amount is not None
        return (self.net.amount.amounts(*self.net.trunk(features_BF)) * self.factor).unsqueeze(1)


def _one_thread() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def _exported(network: nn.Module, features: int, output: str) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.zeros(2, features),),
            file,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=["features"],
            output_names=[output],
            dynamic_axes={"features": {0: "batch"}, output: {0: "batch"}},
        )
    return file.getvalue()


def _scaled_trees(trees: CalibratedTrees, name: str, features: int) -> tuple[list[Any], dict[str, Any]]:
    """Nodes from `features` to `{name}_chances`, and their constants."""
    kinds = [("features", FloatTensorType([None, features]))]
    converted = convert_lightgbm(_summed(trees.booster), initial_types=kinds, zipmap=False)
    (ensemble,) = [node for node in converted.graph.node if node.op_type == "TreeEnsembleRegressor"]
    ensemble.input[0], ensemble.output[0], ensemble.name = "features", f"{name}_raw", name
    steps = (("Mul", "raw", "slope", "scaled"), ("Add", "scaled", "intercept", "odds"))
    nodes = [helper.make_node(kind, [f"{name}_{x}", f"{name}_{y}"], [f"{name}_{z}"]) for kind, x, y, z in steps]
    sigmoid = helper.make_node("Sigmoid", [f"{name}_odds"], [f"{name}_chances"])
    slope, intercept = np.float32(trees.calibration.slope), np.float32(trees.calibration.intercept)
    return [ensemble, *nodes, sigmoid], {f"{name}_slope": slope, f"{name}_intercept": intercept}


def _summed(booster: lightgbm.Booster) -> lightgbm.Booster:
    """The same trees, whose prediction is their sum, with thresholds that 32 bits hold.

    LightGBM compares 64-bit thresholds. Rounded down to 32 bits they send every 32-bit value the same way; rounded to
    the nearest, as the converter would, they do not.
    """
    text = booster.model_to_string(num_iteration=booster.best_iteration or -1)
    text = re.sub(r"^objective=.*$", "objective=regression", text, flags=re.MULTILINE)
    text = re.sub(r"^threshold=(.*)$", _rounded_down, text, flags=re.MULTILINE)
    # Sizes of the trees' texts no longer hold; without them LightGBM looks for the trees itself.
    return lightgbm.Booster(model_str=re.sub(r"^tree_sizes=.*\n", "", text, flags=re.MULTILINE))


def _rounded_down(line: re.Match[str]) -> str:
    exact = np.array(line[1].split(), np.float64)
    near = exact.astype(np.float32)
    low = np.where(near > exact, np.nextafter(near, np.float32(-np.inf)), near)
    return "threshold=" + " ".join(repr(float(value)) for value in low)
