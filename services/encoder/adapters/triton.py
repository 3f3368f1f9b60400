"""The text encoder on Triton, over gRPC."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import tritonclient.grpc.aio as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException
from typing_extensions import override

from services.encoder.domain import ModelRelease
from services.encoder.errors import BrokenVectors, ModelMismatch
from services.encoder.modelrepo.manifest import MODEL_NAME
from services.encoder.ports import TextModel, TokenIds, Vectors
from shared.errors.base import Internal, MercatoError, Unavailable
from shared.telemetry.metrics import histogram

DEPENDENCY = "triton"
ATTEMPTS = 2
"""Encoding again is harmless, and a second attempt meets another instance when one has just died."""
PAUSE_SECONDS = 0.05
URGENT, BULK = 1, 2
"""Triton's priority levels of the model: what is queued at 1 goes first."""
_CHECK_TOKENS: list[TokenIds] = [[0, 1, 2]]
_CHANNEL = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # By default gRPC waits up to two minutes before it looks again for a server that was away.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
SECONDS = histogram("encoder_triton_seconds", "Duration of requests to Triton.", ("outcome",))

Ids = NDArray[np.int64]
Call = Callable[[Any, float], Awaitable[Any]]
"""A call of the client given, with the seconds that it may take."""


class TritonTextModel(TextModel):
    """Use as an async context manager. Triton may be down when it is opened."""

    def __init__(self, address: str, release: ModelRelease, *, pad_id: int, timeout_seconds: float) -> None:
        self._connection = _Connection(address, timeout_seconds)
        self._release = release
        self._pad_id = pad_id
        self._verified = False

    async def __aenter__(self) -> Self:
        self._connection.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

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
                MODEL_NAME, inputs, priority=priority, timeout=int(seconds * 1e6), client_timeout=seconds
            )
        )
        vectors: Vectors = answer.as_numpy("embedding")
        return vectors


class _Connection:
    """Triton's client; every call limited in time and its errors translated."""

    def __init__(self, address: str, timeout_seconds: float) -> None:
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._client: triton.InferenceServerClient | None = None

    def open(self) -> None:
        self._client = triton.InferenceServerClient(self._address, channel_args=_CHANNEL)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client:
            await client.close()

    async def __call__(self, call: Call) -> Any:
        """Raises Unavailable, or Internal when the request itself was wrong."""
        if self._client is None:
            raise Internal("TritonTextModel is not open: use it in 'async with'")
        start, outcome = time.perf_counter(), "error"
        try:
            answer = await call(self._client, self._timeout_seconds)
            outcome = "ok"
        except InferenceServerException as error:
            raise _translated(error) from error
        finally:
            SECONDS.labels(outcome).observe(time.perf_counter() - start)
        return answer


def _translated(error: InferenceServerException) -> MercatoError:
    """Triton answers INVALID_ARGUMENT to a request that it cannot read; everything else may pass."""
    status = str(error.status() or "").removeprefix("StatusCode.")
    if status == "INVALID_ARGUMENT":
        return Internal(f"Triton refused a request: {error.message()}")
    return Unavailable(DEPENDENCY, metadata={"status": status, "detail": str(error.message())[:200]})


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
