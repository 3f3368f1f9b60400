"""Text vectors of products from the index."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import grpc
import numpy as np
from mercato.retrieval.v1 import retrieval_service_pb2 as pb
from mercato.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub

from services.trainer.domain import Floats
from shared.client.failures import remote_errors


class RetrievalVectors:
    """Reads `mercato.retrieval.v1.ReadProductVectors`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = RetrievalServiceStub(channel)

    async def read(self) -> AsyncIterator[tuple[Sequence[str], Floats]]:
        with remote_errors("retrieval"):
            async for page in self._stub.ReadProductVectors(pb.ReadProductVectorsRequest()):
                yield page.product_ids, np.frombuffer(page.vectors, "<f4").reshape(-1, page.dimension)
