"""The encoder service, seen as a port."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import numpy as np
from mercato.encoder.v1 import encoder_service_pb2, encoder_service_pb2_grpc

from services.support.ports import Encoded
from shared.client.failures import remote_errors

BATCH = 256


class RemoteEncoder:
    """Encodes through `mercato.encoder.v1`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = encoder_service_pb2_grpc.EncoderServiceStub(channel)

    async def encode(self, texts: Sequence[str]) -> Encoded:
        """Encodes texts in batches of 256; all come from one model release or the call is repeated once."""
        parts = [await self._encode_batch(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
        if len({part.model_release for part in parts}) > 1:
            parts = [await self._encode_batch(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
        return Encoded(np.concatenate([part.vectors for part in parts]), parts[-1].model_release)

    async def model_release(self) -> str:
        with remote_errors("encoder"):
            response = await self._stub.GetModel(encoder_service_pb2.GetModelRequest())
        return response.model_release

    async def _encode_batch(self, texts: Sequence[str]) -> Encoded:
        request = encoder_service_pb2.EncodeTextsRequest(texts=texts)
        with remote_errors("encoder"):
            response = await self._stub.EncodeTexts(request)
        components = b"".join(vector.components for vector in response.vectors)
        vectors = np.frombuffer(components, dtype="<f4").reshape(len(texts), response.dimension)
        return Encoded(vectors, response.model_release)
