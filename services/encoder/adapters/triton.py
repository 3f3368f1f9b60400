"""The text encoder on Triton, over gRPC."""

import asyncio
from collections.abc import Sequence

import numpy as np
import tritonclient.grpc.aio as triton
from numpy.typing import NDArray
from typing_extensions import override

from services.encoder.domain import ModelRelease
from services.encoder.errors import BrokenVectors, ModelMismatch
from services.encoder.modelrepo.manifest import MODEL_NAME
from services.encoder.ports import TextModel, TokenIds, Vectors
from shared.errors.base import Unavailable
from shared.triton.connection import Subject, TritonConnection, trace_headers

ATTEMPTS = 2
"""Encoding again is harmless, and a second attempt meets another instance when one has just died."""
PAUSE_SECONDS = 0.05
URGENT, BULK = 1, 2
"""Triton's priority levels of the model: what is queued at 1 goes first."""
_CHECK_TOKENS: list[TokenIds] = [[0, 1, 2]]

Ids = NDArray[np.int64]


class TritonTextModel(TextModel):
    """Triton may be down when it is made."""

    def __init__(self, connection: TritonConnection, release: ModelRelease, *, pad_id: int) -> None:
        self._connection = connection
        self._release = release
        self._pad_id = pad_id
        self._verified = False

    @property
    @override
    def release(self) -> ModelRelease:
        return self._release

    @override
    async def encode(self, token_ids: Sequence[TokenIds], *, urgent: bool) -> Vectors:
        priority = URGENT if urgent else BULK
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._encode(token_ids, priority)
            except Unavailable:
                self._verified = False  # it may come back with another release
                await asyncio.sleep(PAUSE_SECONDS)
        return await self._encode(token_ids, priority)

    @override
    async def check(self) -> None:
        """Triton's own readiness stays true when its model processes have died, hence an inference."""
        self._verified = False
        await self._encode(_CHECK_TOKENS, URGENT)

    async def _encode(self, token_ids: Sequence[TokenIds], priority: int) -> Vectors:
        if not self._verified:
            await self._verify()
        vectors_BD = await self._infer(*_padded(token_ids, self._pad_id), priority)
        expected = (len(token_ids), self._release.dimension)
        if vectors_BD.shape != expected or vectors_BD.dtype != np.float32:
            raise BrokenVectors(f"{vectors_BD.dtype} {vectors_BD.shape} instead of float32 {expected}")
        if not np.isfinite(vectors_BD).all():
            raise BrokenVectors("numbers that are not finite")
        return vectors_BD

    async def _verify(self) -> None:
        """Triton must serve the release whose tokenizer we hold. Asked again by each health check."""
        answer = await self._connection(
            lambda client, seconds: client.get_model_config(MODEL_NAME, client_timeout=seconds)
        )
        served = answer.config.parameters["release_id"].string_value
        if served != self._release.release_id:
            raise ModelMismatch(self._release.release_id, served)
        self._verified = True

    async def _infer(self, ids_BT: Ids, mask_BT: Ids, priority: int) -> Vectors:
        inputs = [_tensor("input_ids", ids_BT), _tensor("attention_mask", mask_BT)]
        # Triton drops what waits longer than `timeout` (microseconds): nobody is there for the answer any more.
        answer = await self._connection(
            lambda client, seconds: client.infer(
                MODEL_NAME,
                inputs,
                priority=priority,
                timeout=int(seconds * 1e6),
                client_timeout=seconds,
                headers=trace_headers(),
            ),
            Subject("infer", MODEL_NAME, len(ids_BT)),
        )
        vectors: Vectors = answer.as_numpy("embedding")
        return vectors


def _padded(token_ids: Sequence[TokenIds], pad_id: int) -> tuple[Ids, Ids]:
    """Token ids and mask [B, T], T the longest."""
    ids_BT = np.full((len(token_ids), max(map(len, token_ids))), pad_id, np.int64)
    mask_BT = np.zeros_like(ids_BT)
    for row, ids in enumerate(token_ids):
        ids_BT[row, : len(ids)] = ids
        mask_BT[row, : len(ids)] = 1
    return ids_BT, mask_BT


def _tensor(name: str, array: Ids) -> triton.InferInput:
    tensor = triton.InferInput(name, list(array.shape), "INT64")
    tensor.set_data_from_numpy(array)
    return tensor
