"""ONNX graphs that are sent to Triton at run time: a release's models need no folder that services share.

Triton loads them with the content of their files (its model repository protocol's `file:` overrides), under a name
made of their hash: the same graph in two releases, or loaded by two replicas, is one model. Triton forgets them when
it restarts, so a model that is missing when it is asked is sent again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import tritonclient.grpc.aio as triton

from shared.errors.base import Unavailable
from shared.telemetry.logs import logger
from shared.triton.connection import DEPENDENCY, Subject, TritonConnection, trace_headers

Array = npt.NDArray[Any]
_TYPES = {"FP32": np.float32, "INT64": np.int64}
_log = logger("graphs")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output: name, Triton's type (FP32, INT64), sizes with -1 for any."""

    name: str
    type: str
    dims: tuple[int, ...]

    def to_config(self) -> dict[str, object]:
        """As Triton's model configuration has it."""
        return {"name": self.name, "data_type": f"TYPE_{self.type}", "dims": list(self.dims)}


@dataclass(frozen=True, slots=True)
class Graph:
    """An ONNX graph with its inputs and outputs. `role` is the first part of the model's name: `ranker`."""

    role: str
    content: bytes = field(repr=False)
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    instances: int = 1

    @property
    def name(self) -> str:
        """The model's name in Triton."""
        return f"{self.role}_{hashlib.sha256(self.content).hexdigest()[:16]}"

    def config(self, name: str) -> str:
        """Triton's model configuration, as JSON."""
        return json.dumps(
            {
                "name": name,
                "backend": "python",
                "max_batch_size": 0,
                "input": [one.to_config() for one in self.inputs],
                "output": [one.to_config() for one in self.outputs],
                "instance_group": [{"count": self.instances, "kind": "KIND_CPU"}],
            }
        )


class TritonGraphs:
    """Loads, runs and unloads graphs. `loading` has more time, where runs must be quick."""

    def __init__(self, connection: TritonConnection, loading: TritonConnection | None = None) -> None:
        self._connection = connection
        self._patient = loading or connection
        self._loading: dict[str, asyncio.Lock] = {}
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._backend = files("shared.triton").joinpath("graph_model.py").read_bytes()

    async def load(self, graph: Graph) -> None:
        """Sends a graph unless Triton has it. Raises Unavailable, Internal (a graph that cannot be run)."""
        name = graph.name
        async with self._loading.setdefault(name, asyncio.Lock()):
            if await self._connection(lambda client, seconds: client.is_model_ready(name, client_timeout=seconds)):
                return
            content = {"file:1/model.py": self._backend, "file:1/model.onnx": graph.content}
            await self._patient(
                lambda client, seconds: client.load_model(
                    name, config=graph.config(name), files=content, client_timeout=seconds
                )
            )
            _log.info("model loaded into Triton", model=name, size_bytes=len(graph.content))

    async def unload(self, graph: Graph) -> None:
        """Takes a graph out of Triton; another replica that still needs it sends it again. Raises Unavailable."""
        name = graph.name
        await self._patient(lambda client, seconds: client.unload_model(name, client_timeout=seconds))

    async def run(self, graph: Graph, inputs: Mapping[str, Array]) -> list[Array]:
        """The outputs in the graph's order. Raises Unavailable, Internal (inputs that the graph refuses).

        A graph that Triton forgot is sent again; meanwhile, and longer than a run may take, nobody waits for it.
        """
        tensors = [_tensor(one, inputs[one.name]) for one in graph.inputs]
        try:
            return await self._infer(graph, tensors)
        except Unavailable as error:
            if not _is_missing(error):
                raise
            await self._send(graph)
            return await self._infer(graph, tensors)

    async def check(self) -> None:
        """Raises Unavailable when Triton does not answer."""
        await self._patient(lambda client, seconds: client.is_server_live(client_timeout=seconds))

    async def _send(self, graph: Graph) -> None:
        """Loads in a task of its own: a request that is out of time must not break it off. Raises Unavailable."""
        name = graph.name
        if (sending := self._sending.get(name)) is None:
            sending = self._sending[name] = asyncio.create_task(self.load(graph))
            sending.add_done_callback(lambda task: self._sent(name, task))
        done, _ = await asyncio.wait([sending], timeout=self._connection.timeout_seconds)
        if not done:
            raise Unavailable(DEPENDENCY, metadata={"detail": f"{name} is on its way to Triton"})
        sending.result()

    def _sent(self, name: str, task: asyncio.Task[None]) -> None:
        del self._sending[name]
        if not task.cancelled() and (error := task.exception()):
            _log.info("model not loaded into Triton", model=name, error=str(error))

    async def _infer(self, graph: Graph, tensors: Sequence[Any]) -> list[Array]:
        subject, name = Subject("infer", graph.role, int(tensors[0].shape()[0])), graph.name
        answer = await self._connection(
            lambda client, seconds: client.infer(name, tensors, client_timeout=seconds, headers=trace_headers()),
            subject,
        )
        return [answer.as_numpy(one.name) for one in graph.outputs]


def _is_missing(error: Unavailable) -> bool:
    """Whether Triton answered that it has no such model, as after a restart."""
    detail = error.metadata.get("detail", "")
    return "unknown model" in detail or "not found" in detail or "not ready" in detail


def _tensor(spec: Tensor, array: Array) -> triton.InferInput:
    tensor = triton.InferInput(spec.name, list(array.shape), spec.type)
    tensor.set_data_from_numpy(np.ascontiguousarray(array, dtype=_TYPES[spec.type]))
    return tensor
