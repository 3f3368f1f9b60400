"""The product index of the retrieval service, seen as a port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import grpc
from mercato.gateway.v1 import product_pb2
from mercato.retrieval.v1 import retrieval_service_pb2 as pb
from mercato.retrieval.v1 import retrieval_service_pb2_grpc

from services.catalog.adapters.encoder import attribute_texts
from services.catalog.domain import StoredProduct
from services.catalog.ports import IndexedItem, IndexState, Model
from shared.client.failures import remote_errors

LONGEST_KEYWORDS = 4000
LONGEST_FILTERED = 256
WRITE_TIMEOUT_SECONDS = 30.0


class RemoteIndex:
    """Writes through `mercato.retrieval.v1`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = retrieval_service_pb2_grpc.RetrievalServiceStub(channel)

    async def state(self) -> IndexState:
        with remote_errors("retrieval"):
            state = await self._stub.GetIndexState(pb.GetIndexStateRequest())
        return IndexState(state.active_index, state.model_release, state.product_count, state.building_index)

    async def begin(self, model: Model, *, first_only: bool = False) -> str:
        request = pb.BeginIndexRequest(model_release=model.release, dimension=model.dimension, first_only=first_only)
        with remote_errors("retrieval"):
            return (await self._stub.BeginIndex(request, timeout=WRITE_TIMEOUT_SECONDS)).index

    async def activate(self, index: str) -> None:
        with remote_errors("retrieval"):
            await self._stub.ActivateIndex(pb.ActivateIndexRequest(index=index), timeout=WRITE_TIMEOUT_SECONDS)

    async def upsert(self, items: Sequence[IndexedItem], model_release: str, index: str = "") -> None:
        products = [_indexed(item) for item in items]
        request = pb.UpsertProductsRequest(products=products, model_release=model_release, index=index)
        with remote_errors("retrieval"):
            await self._stub.UpsertProducts(request, timeout=WRITE_TIMEOUT_SECONDS)

    async def update_offers(self, products: Sequence[StoredProduct]) -> None:
        offers = [
            pb.IndexedOffer(
                product_id=product.product_id,
                price_micros=_micros(product),
                available=product.offer.availability.buyable,
                change_number=product.change_number,
            )
            for product in products
        ]
        with remote_errors("retrieval"):
            await self._stub.UpdateOffers(pb.UpdateOffersRequest(offers=offers), timeout=WRITE_TIMEOUT_SECONDS)

    async def delete(self, changes: Mapping[str, int]) -> None:
        with remote_errors("retrieval"):
            request = pb.DeleteProductsRequest(product_ids=changes.keys(), change_numbers=changes.values())
            await self._stub.DeleteProducts(request, timeout=WRITE_TIMEOUT_SECONDS)


def _indexed(item: IndexedItem) -> pb.IndexedProduct:
    stored = item.product
    basic = product_pb2.Product.FromString(stored.basic)
    details = product_pb2.Product.FromString(stored.details)
    return pb.IndexedProduct(
        product_id=stored.product_id,
        vector=item.vector,
        keywords=keywords(basic, details),
        category_path=basic.category_path,
        brand=basic.brand,
        price_micros=_micros(stored),
        available=stored.offer.availability.buyable,
        publish_time_s=int(stored.publish_time.timestamp()),
        attributes=filterable(details),
        change_number=stored.change_number,
    )


def filterable(details: product_pb2.Product) -> list[product_pb2.ProductAttribute]:
    """Attributes without their long texts, by which nobody filters."""
    found = []
    for attribute in details.attributes:
        texts = [text for text in attribute.texts if len(text) <= LONGEST_FILTERED]
        if texts or attribute.numbers:
            kept = product_pb2.ProductAttribute(name=attribute.name, texts=texts, numbers=attribute.numbers)
            found.append(kept)
    return found


def keywords(basic: product_pb2.Product, details: product_pb2.Product) -> str:
    """Words by which a product is found: title, brand, categories, id, short attributes, description; bounded."""
    parts = [
        basic.title,
        basic.brand,
        *basic.category_path,
        basic.product_id,
        *attribute_texts(details),
        details.description,
    ]
    return "\n".join(part for part in parts if part)[:LONGEST_KEYWORDS]


def _micros(stored: StoredProduct) -> int:
    return stored.offer.price.micros if stored.offer.price else -1
