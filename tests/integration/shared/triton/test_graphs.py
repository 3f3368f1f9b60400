"""ONNX graphs sent to a real Triton at run time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from shared.errors.base import Internal, Unavailable
from shared.triton.connection import TritonConnection
from shared.triton.graphs import Graph, Tensor, TritonGraphs


def scaled(factor: float) -> Graph:
    """y = factor * x, for x of any number of rows."""
    node = helper.make_node("Mul", ["x", "factor"], ["y"])
    sizes = ["rows", 3]
    graph = helper.make_graph(
        [node],
        "scaled",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, sizes)],
        [numpy_helper.from_array(np.array(factor, np.float32), "factor")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    tensor = (Tensor("x", "FP32", (-1, 3)),), (Tensor("y", "FP32", (-1, 3)),)
    return Graph("scaled", model.SerializeToString(), *tensor)


@pytest.fixture
async def graphs(triton_address: str) -> AsyncIterator[TritonGraphs]:
    async with TritonConnection(triton_address, 20.0) as connection:
        yield TritonGraphs(connection)


async def test_a_graph_runs_once_it_was_sent_and_two_stand_side_by_side(graphs: TritonGraphs) -> None:
    two, three = scaled(2.0), scaled(3.0)
    assert two.name != three.name
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for graph, factor in ((two, 2.0), (three, 3.0), (two, 2.0)):
        await graphs.load(graph)
        assert (await graphs.run(graph, {"x": x}))[0].tolist() == (factor * x).tolist()
    await graphs.unload(two)
    assert (await graphs.run(three, {"x": x[:1]}))[0].tolist() == (3.0 * x[:1]).tolist()
    await graphs.unload(three)


async def test_a_graph_that_triton_forgot_is_sent_again(graphs: TritonGraphs) -> None:
    graph, x = scaled(5.0), np.ones((1, 3), np.float32)
    await graphs.load(graph)
    await graphs.unload(graph)
    assert (await graphs.run(graph, {"x": x}))[0].tolist() == [[5.0, 5.0, 5.0]]
    await graphs.unload(graph)


async def test_what_is_no_graph_is_refused_and_the_others_go_on(graphs: TritonGraphs) -> None:
    good = scaled(7.0)
    await graphs.load(good)
    broken = Graph("scaled", b"no graph", good.inputs, good.outputs)
    with pytest.raises((Internal, Unavailable)):
        await graphs.load(broken)
    assert (await graphs.run(good, {"x": np.ones((1, 3), np.float32)}))[0][0, 0] == 7.0
    await graphs.unload(good)


async def test_nobody_listens(tmp_path: Path) -> None:
    async with TritonConnection("127.0.0.1:1", 1.0) as connection:
        with pytest.raises(Unavailable):
            await TritonGraphs(connection).run(scaled(1.0), {"x": np.ones((1, 3), np.float32)})
