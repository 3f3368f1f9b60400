"""Two replicas of retrieval on one Milvus: writes go by way of either, and neither is told of the other's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from google.type import money_pb2
from mercato.gateway.v1 import product_pb2
from mercato.retrieval.v1 import retrieval_service_pb2 as pb
from mercato.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub

from services.retrieval.settings import RetrievalSettings
from services.retrieval.wiring import build
from shared.server.bootstrap import serve_in_process
from tests.integration.retrieval.test_retrieval_service import DIMENSION, MODEL, catalogue

Pair = tuple[RetrievalServiceStub, RetrievalServiceStub]
NEVER = 3600.0
"""Seconds until a replica looks by itself: what a test sees came by the writes."""


@asynccontextmanager
async def replica(milvus_uri: str) -> AsyncIterator[RetrievalServiceStub]:
    """One that holds what Milvus held when it started."""
    settings = RetrievalSettings(milvus_uri=milvus_uri, trainer_address="127.0.0.1:1", sync_seconds=NEVER)
    async with (
        build(settings) as parts,
        serve_in_process(parts) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        stub = RetrievalServiceStub(channel)
        await stub.GetIndexState(pb.GetIndexStateRequest())
        yield stub


@pytest.fixture
async def pair(milvus_uri: str) -> AsyncIterator[Pair]:
    async with replica(milvus_uri) as first, replica(milvus_uri) as second:
        yield first, second


def changed(product: pb.IndexedProduct, number: int, price: int) -> pb.IndexedOffer:
    return pb.IndexedOffer(product_id=product.product_id, price_micros=price, available=False, change_number=number)


async def costing(stub: RetrievalServiceStub, metadata: tuple[tuple[str, str], ...], units: int) -> set[str]:
    """Products that cannot be bought now, at this price."""
    price = money_pb2.Money(units=units, currency_code="USD")
    filter_ = product_pb2.ProductFilter(min_price=price, max_price=price, include_unavailable=True)
    request = pb.SearchProductsRequest(query="article", limit=100, filter=filter_)
    found = {item.product_id for item in (await stub.SearchProducts(request, metadata=metadata)).products}
    filter_.include_unavailable = False
    request = pb.SearchProductsRequest(query="article", limit=100, filter=filter_)
    assert not (await stub.SearchProducts(request, metadata=metadata)).products
    return found


async def test_offers_and_deletes_reach_what_the_other_replica_wrote(
    pair: Pair, milvus_uri: str, tenant: tuple[tuple[str, str], ...]
) -> None:
    first, second = pair
    begin = pb.BeginIndexRequest(model_release=MODEL, dimension=DIMENSION, first_only=True)
    made = await first.BeginIndex(begin, metadata=tenant)
    assert (await second.BeginIndex(begin, metadata=tenant)).index == made.index, "the first stays the only one"
    goods = catalogue(6)
    for stub, part in ((first, goods[:3]), (second, goods[3:])):
        await stub.UpsertProducts(pb.UpsertProductsRequest(products=part, model_release=MODEL), metadata=tenant)
    offers = [changed(product, 2, 7_000_000) for product in goods]
    for stub, crossed in ((second, offers[:2]), (first, offers[3:5])):
        await stub.UpdateOffers(pb.UpdateOffersRequest(offers=crossed), metadata=tenant)
    late = changed(goods[0], 1, 1)
    await first.UpdateOffers(pb.UpdateOffersRequest(offers=[late]), metadata=tenant)
    await first.DeleteProducts(pb.DeleteProductsRequest(product_ids=["p005"], change_numbers=[2]), metadata=tenant)
    async with replica(milvus_uri) as fresh:
        assert await costing(fresh, tenant, 7) == {"p000", "p001", "p003", "p004"}
        assert (await fresh.GetIndexState(pb.GetIndexStateRequest(), metadata=tenant)).product_count == 5


async def test_an_index_is_built_by_one_and_filled_and_activated_by_the_other(
    pair: Pair, milvus_uri: str, tenant: tuple[tuple[str, str], ...]
) -> None:
    first, second = pair
    begin = pb.BeginIndexRequest(model_release=MODEL, dimension=DIMENSION)
    goods = catalogue(4)
    old = (await first.BeginIndex(begin, metadata=tenant)).index
    await first.UpsertProducts(pb.UpsertProductsRequest(products=goods, model_release=MODEL), metadata=tenant)
    new = (await first.BeginIndex(begin, metadata=tenant)).index
    filling = pb.UpsertProductsRequest(products=goods, model_release=MODEL, index=new)
    await second.UpsertProducts(filling, metadata=tenant)
    offer = changed(goods[0], 2, 7_000_000)
    await second.UpdateOffers(pb.UpdateOffersRequest(offers=[offer]), metadata=tenant)
    await second.ActivateIndex(pb.ActivateIndexRequest(index=new), metadata=tenant)
    assert old != new
    last = changed(goods[1], 3, 8_000_000)
    await first.UpdateOffers(pb.UpdateOffersRequest(offers=[last]), metadata=tenant)
    async with replica(milvus_uri) as fresh:
        assert await costing(fresh, tenant, 7) == {"p000"}
        assert await costing(fresh, tenant, 8) == {"p001"}
        assert (await fresh.GetIndexState(pb.GetIndexStateRequest(), metadata=tenant)).product_count == 4
