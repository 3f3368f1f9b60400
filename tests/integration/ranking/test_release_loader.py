"""Rankers of releases with and without amounts, in a real Triton."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import onnx
import pytest
from mercato.trainer.v1 import trainer_service_pb2 as pb
from onnx import TensorProto, helper, numpy_helper

from services.ranking.adapters.trainer import ReleaseLoader
from services.ranking.ports import RankingRelease
from shared.triton.connection import TritonConnection
from shared.triton.graphs import TritonGraphs

FEATURES = ["popularity_56", "price"]


def graph(*, amounts: bool) -> bytes:
    """Scores are the sigmoid of the first feature; amounts twice the second one."""
    nodes = [
        helper.make_node("Gather", ["features", "first"], ["odds"], axis=1),
        helper.make_node("Sigmoid", ["odds"], ["scores"]),
    ]
    names, constants = ["scores"], {"first": np.array([0], np.int64)}
    if amounts:
        nodes += [
            helper.make_node("Gather", ["features", "second"], ["spent"], axis=1),
            helper.make_node("Add", ["spent", "spent"], ["amounts"]),
        ]
        names.append("amounts")
        constants["second"] = np.array([1], np.int64)
    whole = helper.make_graph(
        nodes,
        "ranker",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in names],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


class Stored:
    """A release as a reader gives it."""

    release_id = "r1"

    def __init__(self, *, amounts: bool | None) -> None:
        self._amounts = amounts

    async def statistics(self) -> list[pb.ReadItemStatisticsResponse]:
        return []

    def has(self, *names: str) -> bool:
        return True

    async def artifact(self, name: str) -> bytes:
        return graph(amounts=bool(self._amounts))

    async def document(self, name: str) -> dict[str, Any]:
        said = {} if self._amounts is None else {"amounts": self._amounts}
        return {
            "features": FEATURES,
            "baseline": [0.0, 0.0],
            "groups": {"popularity_56": "popularity", "price": "content"},
            "tasks": ["purchase"],
            "weights": [1.0],
            **said,
        }


@pytest.fixture
async def graphs(triton_address: str) -> AsyncIterator[TritonGraphs]:
    async with TritonConnection(triton_address, 20.0) as connection:
        yield TritonGraphs(connection)


@pytest.mark.parametrize("amounts", [None, False, True], ids=["earlier version", "no amounts", "amounts"])
async def test_a_release_is_run_as_it_was_made(graphs: TritonGraphs, amounts: bool | None) -> None:
    loader = ReleaseLoader(graphs)
    release: RankingRelease = await loader.load(Stored(amounts=amounts))  # type: ignore[arg-type]
    assert release.ranker is not None
    assert release.ranker.foretells_amounts is bool(amounts)
    outputs = await graphs.run(release.ranker.graph, {"features": np.array([[0.0, 3.0], [2.0, 4.0]], np.float32)})
    np.testing.assert_allclose(outputs[0][:, 0], 1.0 / (1.0 + np.exp([0.0, -2.0])), rtol=1e-5)
    if amounts:
        np.testing.assert_allclose(outputs[1][:, 0], [6.0, 8.0])
    assert len(outputs) == 1 + bool(amounts)
    await loader.drop(release)
