"""A graph that Triton forgot is sent again without holding up the requests that miss it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import numpy as np
import pytest

from shared.errors.base import Unavailable
from shared.triton.graphs import Graph, Tensor, TritonGraphs

GRAPH = Graph("ranker", b"graph", (Tensor("x", "FP32", (-1,)),), (Tensor("y", "FP32", (-1,)),))


class SlowTriton:
    """A connection to a Triton that has forgotten all models and takes its time to load one."""

    timeout_seconds = 0.05

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.loads = 0
        self.has_model = False

    async def __call__(self, call: Any, subject: object = None) -> Any:
        return await call(self, self.timeout_seconds)

    async def is_model_ready(self, name: str, client_timeout: float) -> bool:
        return self.has_model

    async def load_model(self, name: str, **options: Any) -> None:
        self.loads += 1
        await self.may_end.wait()
        self.has_model = True

    async def infer(self, name: str, tensors: Any, client_timeout: float, headers: Any) -> Any:
        if not self.has_model:
            raise Unavailable("triton", metadata={"detail": f"Request for unknown model: '{name}' is not found"})
        return self

    def as_numpy(self, name: str) -> Any:
        return np.ones(1, np.float32)


async def assert_on_its_way(run: Awaitable[object]) -> None:
    with pytest.raises(Unavailable) as error:
        await run
    assert "on its way" in error.value.metadata["detail"]


async def test_requests_do_not_wait_for_a_slow_load_and_do_not_break_it_off() -> None:
    triton = SlowTriton()
    graphs, inputs = TritonGraphs(triton), {"x": np.ones(1, np.float32)}  # type: ignore[arg-type]
    await assert_on_its_way(graphs.run(GRAPH, inputs))
    hasty = asyncio.create_task(graphs.run(GRAPH, inputs))
    await asyncio.sleep(0)
    hasty.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hasty
    await assert_on_its_way(graphs.run(GRAPH, inputs))
    triton.may_end.set()
    assert (await graphs.run(GRAPH, inputs))[0].tolist() == [1.0]
    assert triton.loads == 1
