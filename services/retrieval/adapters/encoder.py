"""Behaviour vectors from the encoder service."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import numpy as np
from mercato.encoder.v1 import encoder_service_pb2 as pb
from mercato.encoder.v1.encoder_service_pb2_grpc import EncoderServiceStub
from typing_extensions import override

from services.retrieval.ports import BehaviourEncoder, BehaviourProduct, Floats
from shared.client.failures import remote_errors

SECONDS = 30.0


class EncoderBehaviour(BehaviourEncoder):
    """Asks `mercato.encoder.v1.EncodeBehaviourProducts`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = EncoderServiceStub(channel)

    @override
    async def encode(self, release_id: str, products: Sequence[BehaviourProduct]) -> Floats:
        request = pb.EncodeBehaviourProductsRequest(
            release_id=release_id,
            products=[
                pb.BehaviourProduct(
                    product_id=one.product_id,
                    text_vector=one.text_vector.astype("<f4").tobytes(),
                    category=one.category,
                    brand=one.brand,
                )
                for one in products
            ],
        )
        with remote_errors("encoder"):
            answer = await self._stub.EncodeBehaviourProducts(request, timeout=SECONDS)
        return np.frombuffer(answer.vectors, "<f4").reshape(len(products), answer.dimension)
