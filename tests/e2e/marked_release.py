"""Releases made by hand whose parts can be told apart in an answer: tables, behaviour model and ranker carry a mark.

The ranker's log-odds are its own mark plus the behaviour score, which is the mark of the release whose vectors were
used; neighbours bring only products with the release's letter. An answer that mixes two releases has a score or a
product that no single release gives.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import onnx
from mercato.trainer.v1 import trainer_service_pb2 as pb
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from services.trainer.domain import Release, TrainingKind, artifact_of, content_hash_of

SEED = "seed"


@dataclass(frozen=True)
class Mark:
    """What tells a release apart. `vector` squared is the behaviour score of every product."""

    letter: str
    ranker: float
    vector: float

    @property
    def score(self) -> float:
        """The score of every product in an answer of this release alone."""
        return self.ranker + self.vector**2


def marked(mark: Mark, product_ids: list[str]) -> tuple[Release, dict[str, list[bytes]]]:
    """A release and its artifacts."""
    own = [place for place, product_id in enumerate(product_ids) if product_id.startswith(mark.letter)]
    chunks = {
        "neighbours": [_neighbours(product_ids, own).SerializeToString()],
        "statistics": [_statistics(product_ids).SerializeToString()],
        "user_encoder.onnx": [_user_encoder()],
        "item_encoder.onnx": [_item_encoder(mark.vector)],
        "item_vectors.safetensors": [save({"vectors": np.full((len(product_ids), 1), mark.vector, np.float32)})],
        "vocabulary.json": [_json(product_ids=product_ids, categories=[""], parents=[""], brands=[""])],
        "behaviour.json": [_json(dimension=1, text_dimension=1, length=200)],
        "ranker.onnx": [_ranker(mark.ranker)],
        "ranker.json": [
            _json(
                features=["behaviour"],
                baseline=[0.0],
                groups={"behaviour": "behaviour"},
                tasks=["purchase"],
                weights=[1.0],
            )
        ],
    }
    artifacts = tuple(artifact_of(name, parts) for name, parts in chunks.items())
    now = datetime.now(UTC)
    release = Release(
        release_id=f"r{now:%Y%m%dT%H%M%S%f}-{mark.letter}",
        create_time=now,
        current=False,
        data_end_time=now,
        purchase_count=1,
        user_count=1,
        product_count=len(product_ids),
        pair_count=len(own),
        kind=TrainingKind.FULL,
        content_hash=content_hash_of(artifacts),
        artifacts=artifacts,
    )
    return release, chunks


def _neighbours(product_ids: list[str], own: list[int]) -> pb.ReadItemNeighboursResponse:
    counts = [len(own) if product_id == SEED else 0 for product_id in product_ids]
    return pb.ReadItemNeighboursResponse(
        product_ids=product_ids, counts=counts, neighbours=own, weights=[1.0] * len(own), dictionary=product_ids
    )


def _statistics(product_ids: list[str]) -> pb.ReadItemStatisticsResponse:
    ones = [1.0] * len(product_ids)
    return pb.ReadItemStatisticsResponse(
        product_ids=product_ids,
        popularities=ones,
        trends=ones,
        repeat_interval_days=ones,
        repurchase_probabilities=[0.5] * len(product_ids),
        purchase_counts=[1] * len(product_ids),
        buyers_7d=[1] * len(product_ids),
        buyers_28d=[1] * len(product_ids),
        buyers_56d=[1] * len(product_ids),
        buyers_112d=[1] * len(product_ids),
        leaf_indexes=[0] * len(product_ids),
        leaves=[""],
        user_count=1,
        renewal_probabilities=[0.5],
    )


def _json(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def _ranker(mark: float) -> bytes:
    """sigmoid(mark + behaviour)."""
    nodes = [helper.make_node("Add", ["features", "mark"], ["odds"]), helper.make_node("Sigmoid", ["odds"], ["scores"])]
    return _model(nodes, {"features": ["n", 1]}, {"scores": ["n", 1]}, mark=np.array(mark, np.float32))


def _user_encoder() -> bytes:
    """The mean of the rows' vectors; kinds and ages are read and change nothing."""
    nodes = [
        helper.make_node("Cast", ["kinds"], ["kinds_f"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["kinds_f", "ages_s"], ["both"]),
        helper.make_node("Mul", ["both", "nothing"], ["none"]),
        helper.make_node("Unsqueeze", ["none", "last"], ["none_3"]),
        helper.make_node("Add", ["item_vectors", "none_3"], ["rows"]),
        helper.make_node("ReduceMean", ["rows"], ["user_vectors"], axes=[1], keepdims=0),
    ]
    sizes = {"item_vectors": ["b", "l", 1], "kinds": ["b", "l"], "ages_s": ["b", "l"]}
    constants = {"nothing": np.array(0.0, np.float32), "last": np.array([2], np.int64)}
    return _model(nodes, sizes, {"user_vectors": ["b", 1]}, integers=("kinds",), **constants)


def _item_encoder(vector: float) -> bytes:
    """The mark for every product."""
    nodes = [
        helper.make_node("Add", ["categories", "parents"], ["some"]),
        helper.make_node("Add", ["some", "brands"], ["all"]),
        helper.make_node("Cast", ["all"], ["all_f"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["all_f", "last"], ["all_2"]),
        helper.make_node("Add", ["text_vectors", "all_2"], ["inputs"]),
        helper.make_node("Mul", ["inputs", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "mark"], ["item_vectors"]),
    ]
    names = ("categories", "parents", "brands")
    constants = {
        "nothing": np.array(0.0, np.float32),
        "mark": np.array(vector, np.float32),
        "last": np.array([1], np.int64),
    }
    sizes: dict[str, list[str | int]] = {"text_vectors": ["b", 1], **{name: ["b"] for name in names}}
    return _model(nodes, sizes, {"item_vectors": ["b", 1]}, integers=names, **constants)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[str | int]],
    outputs: dict[str, list[str | int]],
    integers: tuple[str, ...] = (),
    **constants: np.ndarray,
) -> bytes:
    def value(name: str, sizes: list[str | int]) -> onnx.ValueInfoProto:
        kind = TensorProto.INT64 if name in integers else TensorProto.FLOAT
        return helper.make_tensor_value_info(name, kind, sizes)

    graph = helper.make_graph(
        nodes,
        "marked",
        [value(name, sizes) for name, sizes in inputs.items()],
        [value(name, sizes) for name, sizes in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
