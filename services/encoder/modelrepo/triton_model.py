"""Triton's Python backend for the text encoder: ONNX Runtime on one thread. Copied to ``1/model.py``; stands alone.

Requests of several callers that Triton hands over together are encoded together, sorted by length, so that little
is computed on padding. A text's vector does not depend on that.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]
Inputs = list[tuple[Ids, Ids]]

WASTE = 0.2
"""Requests share a run while at most this part of the tokens is padding."""


class TritonPythonModel:
    """One instance. Inputs input_ids, attention_mask int64 [B, T]; output embedding float32 [B, D]."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the graph and runs it once, so that a broken one is refused at load, and a damaged one too.

        Weights of which some bits changed make a graph that runs, and vectors that mean nothing.
        """
        parameters = json.loads(args["model_config"])["parameters"]
        self._pad_id = int(parameters["pad_id"]["string_value"])
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        graph = path.read_bytes()
        if hashlib.sha256(graph).hexdigest() != parameters["graph_sha256"]["string_value"]:
            raise pb_utils.TritonModelException(f"{path} is damaged: not the graph that config.pbtxt names")
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        one = np.ones((1, 4), np.int64)
        self._run(one, one)

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response a request, in order."""
        inputs = [(_array(request, "input_ids"), _array(request, "attention_mask")) for request in requests]
        responses: list[Any] = [None] * len(requests)
        for group in _groups([ids.shape for ids, _ in inputs]):
            for index, response in self._answer(group, inputs):
                responses[index] = response
        return responses

    def _answer(self, group: list[int], inputs: Inputs) -> Iterable[tuple[int, Any]]:
        """Runs a group at once; when that fails, each alone, so that one bad request fails alone."""
        try:
            return zip(group, self._together([inputs[index] for index in group]), strict=True)
        except Exception as error:
            if len(group) == 1:
                return [(group[0], pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)[:500])))]
            return [answer for index in group for answer in self._answer([index], inputs)]

    def _together(self, inputs: Inputs) -> list[Any]:
        length = max(ids.shape[1] for ids, _ in inputs)
        ids = np.concatenate([_widened(ids, length, self._pad_id) for ids, _ in inputs])
        mask = np.concatenate([_widened(mask, length, 0) for _, mask in inputs])
        vectors = self._run(ids, mask)
        ends = np.cumsum([ids.shape[0] for ids, _ in inputs])[:-1]
        return [
            pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("embedding", part)])
            for part in np.split(vectors, ends)
        ]

    def _run(self, ids: Ids, mask: Ids) -> Vectors:
        vectors: Vectors = self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        return vectors


def _array(request: Any, name: str) -> Ids:
    array: Ids = pb_utils.get_input_tensor_by_name(request, name).as_numpy()
    return array


def _widened(array: Ids, length: int, fill: int) -> Ids:
    missing = length - array.shape[1]
    return np.pad(array, ((0, 0), (0, missing)), constant_values=fill) if missing else array


def _groups(shapes: list[tuple[int, ...]]) -> list[list[int]]:
    """Indices by rising length, cut where padding would take more than its part."""
    groups: list[list[int]] = []
    tokens = 0
    for index in sorted(range(len(shapes)), key=lambda at: shapes[at][1]):
        rows, length = shapes[index]
        if groups:
            padded = length * (sum(shapes[at][0] for at in groups[-1]) + rows)
            if padded - (tokens + rows * length) <= WASTE * padded:
                groups[-1].append(index)
                tokens += rows * length
                continue
        groups.append([index])
        tokens = rows * length
    return groups
