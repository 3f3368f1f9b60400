"""The encoder service, seen as a port."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from mercato.encoder.v1 import encoder_service_pb2 as pb
from mercato.encoder.v1 import encoder_service_pb2_grpc
from mercato.gateway.v1 import product_pb2

from services.catalog.domain import StoredProduct
from services.catalog.ports import Model
from shared.client.failures import remote_errors

# Beyond this an attribute is prose; the description says it better.
LONGEST_ATTRIBUTE = 80


class RemoteEncoder:
    """Encodes through `mercato.encoder.v1`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = encoder_service_pb2_grpc.EncoderServiceStub(channel)

    async def model(self) -> Model:
        with remote_errors("encoder"):
            response = await self._stub.GetModel(pb.GetModelRequest())
        return Model(response.model_release, response.dimension)

    async def encode(self, products: Sequence[StoredProduct]) -> tuple[list[bytes], str]:
        request = pb.EncodeProductsRequest(products=[product_text(product) for product in products])
        with remote_errors("encoder"):
            response = await self._stub.EncodeProducts(request, timeout=40)
        return [vector.components for vector in response.vectors], response.model_release

    async def compare(
        self, product: StoredProduct, others: Sequence[StoredProduct]
    ) -> tuple[list[tuple[float, float]], str]:
        first = product_text(product)
        request = pb.CompareProductsRequest(
            pairs=[pb.ProductPair(first=first, second=product_text(other)) for other in others]
        )
        with remote_errors("encoder"):
            response = await self._stub.CompareProducts(request)
        return [(one.cosine, one.pearson) for one in response.similarities], response.model_release


def product_text(stored: StoredProduct) -> pb.ProductText:
    """What is encoded of a product."""
    basic = product_pb2.Product.FromString(stored.basic)
    details = product_pb2.Product.FromString(stored.details)
    return pb.ProductText(
        product_id=stored.product_id,
        title=basic.title,
        brand=basic.brand,
        category_path=basic.category_path,
        attribute_texts=attribute_texts(details)[:50],
        description=details.description,
    )


def attribute_texts(product: product_pb2.Product) -> list[str]:
    """Short attributes as `name: value`."""
    texts = []
    for attribute in product.attributes:
        values = [*attribute.texts, *(f"{number:g}" for number in attribute.numbers)]
        text = f"{attribute.name.replace('_', ' ')}: {', '.join(values)}"
        if len(text) <= LONGEST_ATTRIBUTE:
            texts.append(text)
    return texts
