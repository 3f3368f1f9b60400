"""Retrieval as its clients see it, on a real Milvus server: filters, both channels, the life of an index, passages."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from mercato.gateway.v1 import product_pb2, recommendation_pb2
from mercato.retrieval.v1 import candidates_pb2
from mercato.retrieval.v1 import retrieval_service_pb2 as pb
from mercato.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub

from services.retrieval.settings import RetrievalSettings
from services.retrieval.wiring import build
from shared.server.bootstrap import serve_in_process

DIMENSION, MODEL = 8, "test_model_1"
NASTY = ['O"Neil', "back\\slash", "x') or true or ('", "naïve – ünïcode", "percent%_", "日本語"]
SHELVES = [["Food", "Milk"], ["Food", "Bread"], ["Tools", "Other"], ["Food", 'Q"uote'], []]


@pytest.fixture
async def stub(milvus_uri: str) -> AsyncIterator[RetrievalServiceStub]:
    settings = RetrievalSettings(milvus_uri=milvus_uri, trainer_address="127.0.0.1:1")
    async with (
        build(settings) as parts,
        serve_in_process(parts) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield RetrievalServiceStub(channel)


def unit(*values: float) -> bytes:
    vector = np.zeros(DIMENSION, dtype="<f4")
    vector[: len(values)] = values
    return (vector / np.linalg.norm(vector)).astype("<f4").tobytes()


def bought(product_ids: list[str]) -> candidates_pb2.Seeds:
    return candidates_pb2.Seeds(
        product_ids=product_ids, weights=[1.0] * len(product_ids), bought=[True] * len(product_ids)
    )


def catalogue(count: int, seed: int = 1) -> list[pb.IndexedProduct]:
    chosen = random.Random(seed)
    return [
        pb.IndexedProduct(
            product_id=f"p{number:03d}",
            vector=unit(1.0, number / count, *(chosen.random() for _ in range(3))),
            keywords=f"article {number} {chosen.choice(['red', 'green', 'blue'])}",
            category_path=chosen.choice(SHELVES),
            brand=chosen.choice(["", "Acme", *NASTY]),
            price_micros=chosen.choice([-1, 0, 990_000, 5_000_000, 2**40]),
            available=chosen.random() < 0.8,
            publish_time_s=1_700_000_000 + number,
            change_number=1,
            attributes=[
                product_pb2.ProductAttribute(name="color", texts=chosen.sample(["red", "green", *NASTY], 2)),
                product_pb2.ProductAttribute(name="size", numbers=[chosen.choice([1.0, 2.5, 40.0]), 7.0]),
            ][: chosen.randrange(3)],
        )
        for number in range(count)
    ]


def wanted(product: pb.IndexedProduct, filter_: product_pb2.ProductFilter) -> bool:
    """The contract's words, once more and plainly."""
    price = product.price_micros
    low = filter_.min_price.units * 10**6 + filter_.min_price.nanos // 1000 if filter_.HasField("min_price") else None
    high = filter_.max_price.units * 10**6 + filter_.max_price.nanos // 1000 if filter_.HasField("max_price") else None
    if (low is not None or high is not None) and price < 0:
        return False
    if (low is not None and price < low) or (high is not None and price > high):
        return False
    attributes = {attribute.name: attribute for attribute in product.attributes}
    for condition in filter_.attributes:
        found = attributes.get(condition.name, product_pb2.ProductAttribute())
        if condition.texts and not set(condition.texts) & set(found.texts):
            return False
        if condition.HasField("min_number") and not any(n >= condition.min_number for n in found.numbers):
            return False
        if condition.HasField("max_number") and not any(n <= condition.max_number for n in found.numbers):
            return False
    return (
        (product.available or filter_.include_unavailable)
        and (not filter_.categories or bool(set(filter_.categories) & set(product.category_path)))
        and (not filter_.brands or product.brand in filter_.brands)
        and product.product_id not in filter_.excluded_product_ids
    )


def filters(count: int, seed: int = 2) -> list[product_pb2.ProductFilter]:
    chosen = random.Random(seed)
    made = []
    for _ in range(count):
        filter_ = product_pb2.ProductFilter(include_unavailable=chosen.random() < 0.3)
        if chosen.random() < 0.4:
            filter_.categories.extend(chosen.sample(["Food", "Milk", "Other", 'Q"uote', "none", NASTY[2]], 2))
        if chosen.random() < 0.4:
            filter_.brands.extend(chosen.sample(["Acme", *NASTY], 2))
        if chosen.random() < 0.4:
            filter_.min_price.units = chosen.choice([0, 1])
        if chosen.random() < 0.3:
            filter_.max_price.units = 5
        if chosen.random() < 0.4:
            filter_.attributes.add(name="color", texts=chosen.sample(["red", *NASTY], 2))
        if chosen.random() < 0.3:
            filter_.attributes.add(name="size", min_number=2.0, max_number=7.0)
        if chosen.random() < 0.3:
            filter_.excluded_product_ids.extend(["p001", "p002", NASTY[2]])
        made.append(filter_)
    return made


async def fill(stub: RetrievalServiceStub, tenant: object, count: int = 120) -> list[pb.IndexedProduct]:
    begun = await stub.BeginIndex(pb.BeginIndexRequest(model_release=MODEL, dimension=DIMENSION), metadata=tenant)
    assert begun.active
    products = catalogue(count)
    await stub.UpsertProducts(pb.UpsertProductsRequest(products=products, model_release=MODEL), metadata=tenant)
    return products


async def test_filters_mean_the_same_in_milvus_and_in_memory(stub: RetrievalServiceStub, tenant: object) -> None:
    products = await fill(stub, tenant)
    everything = 0
    for filter_ in filters(40):
        expected = {product.product_id for product in products if wanted(product, filter_)}
        by_vector = await stub.SearchProducts(
            pb.SearchProductsRequest(vector=unit(1), model_release=MODEL, filter=filter_, limit=500), metadata=tenant
        )
        assert {item.product_id for item in by_vector.products} == expected, filter_
        by_words = await stub.SearchProducts(
            pb.SearchProductsRequest(query="article", filter=filter_, limit=500), metadata=tenant
        )
        assert {item.product_id for item in by_words.products} == expected, filter_
        ids = [product.product_id for product in products]
        from_memory = await stub.FindCandidates(
            pb.FindCandidatesRequest(
                seeds=bought(ids), buy_again_size=2000, filter=filter_, channels=[recommendation_pb2.CHANNEL_BUY_AGAIN]
            ),
            metadata=tenant,
        )
        assert set(from_memory.candidates.product_ids) == expected, filter_
        everything += len(expected)
    assert everything > 100, "the filters let something through"


async def test_both_channels_are_fused(stub: RetrievalServiceStub, tenant: object) -> None:
    await fill(stub, tenant)
    found = await stub.SearchProducts(
        pb.SearchProductsRequest(
            vector=unit(1, 0.0, 0.5, 0.5, 0.5), model_release=MODEL, query="red article", limit=10,
            filter=product_pb2.ProductFilter(include_unavailable=True),
        ),
        metadata=tenant,
    )  # fmt: skip
    assert not found.failed_channels
    scores = [item.score for item in found.products]
    assert scores == sorted(scores, reverse=True)
    assert any(len(item.channels) == 2 for item in found.products)


async def test_late_writes_change_nothing(stub: RetrievalServiceStub, tenant: object) -> None:
    products = await fill(stub, tenant, 5)
    newer, older = pb.IndexedProduct(), pb.IndexedProduct()
    newer.CopyFrom(products[0])
    newer.change_number, newer.brand, newer.available = 10, "Newer", True
    older.CopyFrom(products[0])
    older.change_number, older.brand = 5, "Older"
    await stub.UpsertProducts(pb.UpsertProductsRequest(products=[newer], model_release=MODEL), metadata=tenant)
    late = await stub.UpsertProducts(pb.UpsertProductsRequest(products=[older], model_release=MODEL), metadata=tenant)
    assert (late.written_count, late.stale_count) == (0, 1)
    offer = pb.IndexedOffer(product_id="p000", price_micros=1, available=False, change_number=11)
    await stub.UpdateOffers(
        pb.UpdateOffersRequest(offers=[offer, pb.IndexedOffer(product_id="unknown")]), metadata=tenant
    )
    request = pb.FindCandidatesRequest(seeds=bought(["p000"]), channels=[recommendation_pb2.CHANNEL_BUY_AGAIN])
    assert not (await stub.FindCandidates(request, metadata=tenant)).candidates.product_ids
    await stub.DeleteProducts(pb.DeleteProductsRequest(product_ids=["p000", "unknown"]), metadata=tenant)
    request.filter.include_unavailable = True
    assert not (await stub.FindCandidates(request, metadata=tenant)).candidates.product_ids
    assert (await stub.GetIndexState(pb.GetIndexStateRequest(), metadata=tenant)).product_count == 4


async def test_an_index_is_built_beside_the_one_in_use(stub: RetrievalServiceStub, tenant: object) -> None:
    products = await fill(stub, tenant, 10)
    second = await stub.BeginIndex(
        pb.BeginIndexRequest(model_release="test_model_2", dimension=DIMENSION), metadata=tenant
    )
    assert not second.active
    with pytest.raises(grpc.aio.AioRpcError) as mixed:
        await stub.SearchProducts(
            pb.SearchProductsRequest(vector=unit(1), model_release="test_model_2"), metadata=tenant
        )
    assert mixed.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    request = pb.UpsertProductsRequest(products=products, model_release="test_model_2", index=second.index)
    await stub.UpsertProducts(request, metadata=tenant)
    await stub.ActivateIndex(pb.ActivateIndexRequest(index=second.index), metadata=tenant)
    state = await stub.GetIndexState(pb.GetIndexStateRequest(), metadata=tenant)
    assert (state.active_index, state.model_release, state.product_count) == (second.index, "test_model_2", 10)
    assert state.building_index == ""
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await stub.ActivateIndex(pb.ActivateIndexRequest(index="none"), metadata=tenant)
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_rebuild_that_was_cut_off_begins_again(stub: RetrievalServiceStub, tenant: object) -> None:
    products = await fill(stub, tenant, 5)
    begin = pb.BeginIndexRequest(model_release="test_model_2", dimension=DIMENSION)
    first = await stub.BeginIndex(begin, metadata=tenant)
    half = pb.UpsertProductsRequest(products=products[:2], model_release="test_model_2", index=first.index)
    await stub.UpsertProducts(half, metadata=tenant)
    second = await stub.BeginIndex(begin, metadata=tenant)
    whole = pb.UpsertProductsRequest(products=products[2:], model_release="test_model_2", index=second.index)
    await stub.UpsertProducts(whole, metadata=tenant)
    await stub.ActivateIndex(pb.ActivateIndexRequest(index=second.index), metadata=tenant)
    state = await stub.GetIndexState(pb.GetIndexStateRequest(), metadata=tenant)
    assert (state.active_index, state.product_count) == (second.index, 3)


async def test_words_answer_while_the_model_and_the_index_differ(stub: RetrievalServiceStub, tenant: object) -> None:
    await fill(stub, tenant, 10)
    request = pb.SearchProductsRequest(
        vector=unit(1),
        model_release="newer_model",
        query="article",
        filter=product_pb2.ProductFilter(include_unavailable=True),
    )
    found = await stub.SearchProducts(request, metadata=tenant)
    assert len(found.products) == 10
    assert [failed.channel for failed in found.failed_channels] == [recommendation_pb2.CHANNEL_SEMANTIC]


async def test_writes_and_deletes_may_arrive_in_any_order(stub: RetrievalServiceStub, tenant: object) -> None:
    products = await fill(stub, tenant, 3)

    def changed(number: int, brand: str) -> pb.UpsertProductsRequest:
        product = pb.IndexedProduct()
        product.CopyFrom(products[0])
        product.change_number, product.brand, product.available = number, brand, True
        return pb.UpsertProductsRequest(products=[product], model_release=MODEL)

    async def count() -> int:
        return (await stub.GetIndexState(pb.GetIndexStateRequest(), metadata=tenant)).product_count

    delete = pb.DeleteProductsRequest(product_ids=["p000"], change_numbers=[6])
    await stub.DeleteProducts(delete, metadata=tenant)
    late = await stub.UpsertProducts(changed(5, "Late"), metadata=tenant)
    assert (late.stale_count, await count()) == (1, 2), "encoded before the delete, written after it"
    again = await stub.UpsertProducts(changed(7, "Again"), metadata=tenant)
    assert (again.written_count, await count()) == (1, 3)
    await stub.DeleteProducts(delete, metadata=tenant)
    assert await count() == 3, "it came back since"
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        bad = pb.DeleteProductsRequest(product_ids=["p000", "p001"], change_numbers=[6])
        await stub.DeleteProducts(bad, metadata=tenant)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_shop_that_learnt_nothing_yet_has_candidates(stub: RetrievalServiceStub, tenant: object) -> None:
    products = await fill(stub, tenant, 30)
    found = await stub.FindCandidates(pb.FindCandidatesRequest(channel_size=5), metadata=tenant)
    newest = [product.product_id for product in reversed(products) if product.available][:5]
    assert list(found.candidates.product_ids) == newest


async def test_a_restart_reads_the_index_back(milvus_uri: str, tenant: object) -> None:
    settings = RetrievalSettings(milvus_uri=milvus_uri, trainer_address="127.0.0.1:1")
    for run in range(2):
        async with (
            build(settings) as parts,
            serve_in_process(parts) as address,
            grpc.aio.insecure_channel(address) as channel,
        ):
            stub = RetrievalServiceStub(channel)
            if run == 0:
                await fill(stub, tenant, 30)
            state = await stub.GetIndexState(pb.GetIndexStateRequest(), metadata=tenant)
            assert (state.model_release, state.product_count) == (MODEL, 30)
            similar = await stub.SimilarProducts(
                pb.SimilarProductsRequest(
                    product_id="p010", limit=3, filter=product_pb2.ProductFilter(include_unavailable=True)
                ),
                metadata=tenant,
            )
            assert len(similar.products) == 3
            assert "p010" not in {item.product_id for item in similar.products}


async def test_passages_follow_their_document(stub: RetrievalServiceStub, tenant: object) -> None:
    def passage(number: int, revision: str, text: str) -> pb.IndexedPassage:
        return pb.IndexedPassage(
            passage_id=f"returns#{number}", document_id="returns", revision=revision, vector=unit(1, number), text=text
        )

    async def found() -> list[tuple[str, str]]:
        request = pb.SearchPassagesRequest(vector=unit(1), model_release=MODEL, query="refund", limit=5)
        answer = await stub.SearchPassages(request, metadata=tenant)
        return sorted((item.passage_id, item.revision) for item in answer.passages)

    first = [passage(0, "a", "refund in days"), passage(1, "a", "other")]
    await stub.UpsertPassages(
        pb.UpsertPassagesRequest(passages=first, model_release=MODEL, dimension=DIMENSION), metadata=tenant
    )
    assert await found() == [("returns#0", "a"), ("returns#1", "a")]
    second = [passage(0, "b", "refund in weeks")]
    await stub.UpsertPassages(
        pb.UpsertPassagesRequest(passages=second, model_release=MODEL, dimension=DIMENSION), metadata=tenant
    )
    await stub.DeletePassages(pb.DeletePassagesRequest(document_id="returns", keep_revision="b"), metadata=tenant)
    assert await found() == [("returns#0", "b")]

    async def count(model_release: str) -> int:
        request = pb.CountPassagesRequest(model_release=model_release)
        return (await stub.CountPassages(request, metadata=tenant)).passage_count

    assert (await count(MODEL), await count("another_model")) == (1, 0)
    await stub.DeletePassages(pb.DeletePassagesRequest(document_id="returns"), metadata=tenant)
    assert await found() == []
