"""The INT8 rewrite on a small graph: close to the original, and exact under any batching."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from services.encoder.modelrepo.rowwise_int8 import quantize

VOCABULARY, WIDTH = 4000, 32


def write_graph(path: Path) -> None:
    """Lookup in a large table, then three products with constants, two of them on the same rows."""
    random = np.random.default_rng(3)
    weights = {
        "table": random.standard_normal((VOCABULARY, WIDTH)),
        "first": random.standard_normal((WIDTH, 24)) / 6,
        "second": random.standard_normal((WIDTH, 24)) / 6,
        "third": random.standard_normal((24, 8)) * np.logspace(-2, 1, 8),
    }
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["x"]),
        helper.make_node("MatMul", ["x", "first"], ["a"]),
        helper.make_node("MatMul", ["x", "second"], ["b"]),
        helper.make_node("Tanh", ["a"], ["c"]),
        helper.make_node("Mul", ["c", "b"], ["d"]),
        helper.make_node("MatMul", ["d", "third"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["b", "t"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", "t", 8])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


class Graphs:
    def __init__(self, folder: Path) -> None:
        self.original, self.small = folder / "fp32.onnx", folder / "int8.onnx"
        write_graph(self.original)
        self.products = quantize(self.original, self.small)

    def run(self, path: Path, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        answer: NDArray[np.float32] = session.run(None, {"ids": ids})[0]
        return answer


@pytest.fixture
def graphs(tmp_path: Path) -> Graphs:
    return Graphs(tmp_path)


def test_it_is_close_to_the_original(graphs: Graphs) -> None:
    ids = np.random.default_rng(5).integers(0, VOCABULARY, (16, 7))
    wanted, got = graphs.run(graphs.original, ids), graphs.run(graphs.small, ids)
    error = np.linalg.norm(wanted - got, axis=(0, 1)) / np.linalg.norm(wanted, axis=(0, 1))
    assert graphs.products == 3
    assert error.max() < 0.03
    assert error.min() > 0, "nothing was quantised"


def test_neighbours_change_nothing(graphs: Graphs) -> None:
    ids = np.random.default_rng(6).integers(0, VOCABULARY, (16, 7))
    together = graphs.run(graphs.small, ids)
    alone = np.concatenate([graphs.run(graphs.small, row[None]) for row in ids])
    np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-7)


def test_rows_of_zeros_stay_zero(graphs: Graphs, tmp_path: Path) -> None:
    model = onnx.load(graphs.original)
    table = next(tensor for tensor in model.graph.initializer if tensor.name == "table")
    values = numpy_helper.to_array(table).copy()
    values[0] = 0
    table.CopyFrom(numpy_helper.from_array(values, "table"))
    onnx.save(model, tmp_path / "zero.onnx")
    quantize(tmp_path / "zero.onnx", tmp_path / "zero8.onnx")
    np.testing.assert_array_equal(graphs.run(tmp_path / "zero8.onnx", np.zeros((1, 2), np.int64)), 0)


def test_the_file_shrinks_to_a_byte_a_weight(graphs: Graphs) -> None:
    assert graphs.small.stat().st_size < 0.35 * graphs.original.stat().st_size
