"""The catalogue as its clients see it, on real PostgreSQL, with an index in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from mercato.catalog.v1 import catalog_service_pb2 as pb
from mercato.catalog.v1 import catalog_service_pb2_grpc
from mercato.errors.v1 import error_reason_pb2 as reasons
from mercato.gateway.v1 import product_pb2, recommendation_service_pb2

from services.catalog.adapters.postgres import PostgresProducts
from services.catalog.compare_products import CompareProducts
from services.catalog.converters import content_of
from services.catalog.delete_product import DeleteProduct
from services.catalog.domain import Change
from services.catalog.import_products import ImportProducts
from services.catalog.index_products import IndexWorker, WorkerPolicy
from services.catalog.keep_index import IndexKeeper
from services.catalog.ports import Systems
from services.catalog.rebuild_index import RebuildIndex
from services.catalog.servicer import CatalogServicer, UseCases
from services.catalog.update_offers import UpdateOffers
from services.catalog.update_product import UpdateProduct
from services.catalog.waker import Waker
from shared.errors.reasons import Reason
from shared.postgres.migrations import migrate
from shared.postgres.pool import open_pool
from shared.server.bootstrap import serve_in_process
from shared.server.parts import ServiceParts, Servicer
from tests.fakes.catalog.index import FakeEncoder, FakeIndex
from tests.suites.errors import reason_of


@dataclass
class Shop:
    stub: catalog_service_pb2_grpc.CatalogServiceAsyncStub
    encoder: FakeEncoder
    index: FakeIndex
    worker: IndexWorker
    keeper: IndexKeeper
    products: PostgresProducts

    async def import_all(self, *batches: Iterable[product_pb2.Product]) -> list[pb.ImportProductsResponse]:
        async def requests() -> AsyncIterator[pb.ImportProductsRequest]:
            for batch in batches:
                yield pb.ImportProductsRequest(products=batch)

        return [response async for response in self.stub.ImportProducts(requests())]

    async def work(self) -> None:
        while await self.worker.work_once():
            pass

    async def state(self) -> pb.GetCatalogStateResponse:
        return await self.stub.GetCatalogState(pb.GetCatalogStateRequest())


@asynccontextmanager
async def open_shop(dsn: str) -> AsyncIterator[Shop]:
    async with open_pool(dsn, max_size=8) as pool:
        await migrate(pool, "services.catalog.migrations")
        products, waker = PostgresProducts(pool), Waker()
        encoder, index = FakeEncoder(), FakeIndex()
        systems = Systems(products, products, encoder, index)
        rebuild = RebuildIndex(systems)
        use_cases = UseCases(
            ImportProducts(products, waker),
            UpdateProduct(products, waker),
            UpdateOffers(products, content_of, waker),
            DeleteProduct(products, waker),
            rebuild,
            CompareProducts(products, encoder),
            products,
        )
        servicer = Servicer(
            pb.DESCRIPTOR.services_by_name["CatalogService"],
            catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server,
            CatalogServicer(use_cases),
        )
        keeper = IndexKeeper(systems, rebuild, waker, 10)
        worker = IndexWorker(systems, keeper, waker, WorkerPolicy(batch=100, poll_seconds=0.05, lease_seconds=5))
        await keeper.check("default")
        parts = ServiceParts("catalog", (servicer,))
        async with serve_in_process(parts) as address, grpc.aio.insecure_channel(address) as channel:
            stub = catalog_service_pb2_grpc.CatalogServiceStub(channel)
            yield Shop(stub, encoder, index, worker, keeper, products)


@pytest.fixture
async def shop(postgres_database: str) -> AsyncIterator[Shop]:
    async with open_shop(postgres_database) as opened:
        yield opened


def product(number: int, **fields: object) -> product_pb2.Product:
    values = {
        "product_id": f"p{number:06d}",
        "title": f"Product {number}",
        "category_path": ["Food", "Milk"],
        "price": {"units": 2, "nanos": 990_000_000, "currency_code": "USD"},
        **fields,
    }
    return product_pb2.Product(**values)  # type: ignore[arg-type]


async def test_import_tells_new_changed_and_unchanged_apart(shop: Shop) -> None:
    first = await shop.import_all([product(1), product(2)], [product(3)])
    assert [(r.batch_index, r.created_count) for r in first] == [(0, 2), (1, 1)]
    again = await shop.import_all(
        [product(1), product(2, title="Other"), product(3, price={"units": 3, "currency_code": "USD"})]
    )
    assert (again[0].created_count, again[0].updated_count, again[0].unchanged_count) == (0, 2, 1)
    await shop.work()
    assert sorted(shop.encoder.encoded) == ["p000001", "p000002", "p000003"]
    await shop.import_all([product(3, price={"units": 4, "currency_code": "USD"})])
    await shop.work()
    assert len(shop.encoder.encoded) == 3, "a new price needs no new vector"
    assert shop.index.products["p000003"].offer.price.units == 4  # type: ignore[union-attr]


async def test_bad_items_are_named_and_the_others_stored(shop: Shop) -> None:
    bad = product(2, price={"units": -1, "currency_code": "usd"})
    responses = await shop.import_all([product(1), bad, product_pb2.Product(product_id="x"), product(4)])
    assert responses[0].created_count == 2
    assert [(error.index, error.item_id, error.reason) for error in responses[0].rejected] == [
        (1, "p000002", reasons.ERROR_REASON_INVALID_REQUEST),
        (2, "x", reasons.ERROR_REASON_INVALID_REQUEST),
    ]
    assert {violation.rule for violation in responses[0].rejected[0].violations} == {
        "product.price_not_negative",
        "product.price_currency",
    }
    assert responses[0].rejected[1].violations[0].field == "title"


async def test_the_last_of_a_batch_wins(shop: Shop) -> None:
    responses = await shop.import_all([product(1), product(1, title="Last"), product(1, title="Last")])
    assert (responses[0].created_count, responses[0].updated_count, responses[0].unchanged_count) == (1, 1, 1)
    found = await shop.stub.BatchGetProducts(pb.BatchGetProductsRequest(product_ids=["p000001", "none", "p000001"]))
    assert [item.title for item in found.products] == ["Last"]
    assert list(found.missing_product_ids) == ["none"]


async def test_products_come_back_as_they_were_sent(shop: Shop) -> None:
    sent = product(
        7,
        description="Long",
        brand="B",
        stock_quantity=0,
        offer_time={"seconds": 1_700_000_000},
        publish_time={"seconds": 1_600_000_000, "nanos": 123_000_000},
        attributes=[{"name": "color", "texts": ["red"]}, {"name": "size_in", "numbers": [1.5]}],
        uri="https://shop.example/7",
    )
    await shop.import_all([sent])
    got = (await shop.stub.BatchGetProducts(pb.BatchGetProductsRequest(product_ids=[sent.product_id]))).products[0]
    assert got.HasField("create_time")
    assert got.availability == product_pb2.AVAILABILITY_IN_STOCK
    for field in ("create_time", "update_time"):
        got.ClearField(field)  # type: ignore[arg-type]
    sent.availability = product_pb2.AVAILABILITY_IN_STOCK
    assert got == sent
    basic = (
        await shop.stub.BatchGetProducts(pb.BatchGetProductsRequest(product_ids=[sent.product_id], basic=True))
    ).products[0]
    assert (basic.description, len(basic.attributes), basic.brand) == ("", 0, "B")


async def test_offers_may_arrive_in_any_order(shop: Shop) -> None:
    await shop.import_all([product(1, offer_time={"seconds": 1000}), product(2, offer_time={"seconds": 1000})])
    await shop.work()

    def offer(number: int, seconds: int, units: int) -> product_pb2.ProductOffer:
        price = {"units": units, "currency_code": "USD"}
        return product_pb2.ProductOffer(product_id=f"p{number:06d}", price=price, offer_time={"seconds": seconds})  # type: ignore[arg-type]

    bad = product_pb2.ProductOffer(product_id="p000001")
    response = await shop.stub.UpdateOffers(
        pb.UpdateOffersRequest(
            offers=[offer(1, 2000, 20), offer(1, 1500, 15), offer(9, 2000, 1), bad, offer(2, 999, 9)]
        )
    )
    assert response.updated_count == 1
    assert [(error.index, error.reason) for error in response.rejected] == [
        (1, reasons.ERROR_REASON_STALE_UPDATE),
        (2, reasons.ERROR_REASON_PRODUCT_NOT_FOUND),
        (3, reasons.ERROR_REASON_INVALID_REQUEST),
        (4, reasons.ERROR_REASON_STALE_UPDATE),
    ]
    await shop.import_all([product(1, title="New title", offer_time={"seconds": 1100})])
    got = (await shop.stub.BatchGetProducts(pb.BatchGetProductsRequest(product_ids=["p000001"]))).products[0]
    assert (got.title, got.price.units) == ("New title", 20)
    await shop.work()
    assert shop.index.products["p000001"].offer.price.units == 20  # type: ignore[union-attr]


async def test_an_offer_without_a_time_is_newer_than_one_of_a_clock_that_was_ahead(shop: Shop) -> None:
    tomorrow = int(time.time()) + 86_400
    await shop.import_all([product(1, offer_time={"seconds": tomorrow})])
    await shop.import_all([product(1, price={"units": 7, "currency_code": "USD"})])
    got = (await shop.stub.BatchGetProducts(pb.BatchGetProductsRequest(product_ids=["p000001"]))).products[0]
    assert (got.price.units, got.offer_time.seconds) == (7, tomorrow)
    message = product_pb2.Product(product_id="p000001", price={"units": 8, "currency_code": "USD"})  # type: ignore[arg-type]
    request = pb.UpdateProductRequest(product=message, update_mask=FieldMask(paths=["price"]))
    assert (await shop.stub.UpdateProduct(request)).product.price.units == 8


async def test_update_mask(shop: Shop) -> None:
    await shop.import_all([product(1, description="Keep", offer_time={"seconds": 1000})])

    async def update(mask: list[str], **fields: object) -> product_pb2.Product:
        message = product_pb2.Product(product_id="p000001", **fields)  # type: ignore[arg-type]
        request = pb.UpdateProductRequest(product=message, update_mask=FieldMask(paths=mask))
        return (await shop.stub.UpdateProduct(request)).product

    changed = await update(["title", "category_path"], title="New", category_path=["Tools"], brand="ignored")
    assert (changed.title, list(changed.category_path), changed.brand, changed.description) == (
        "New",
        ["Tools"],
        "",
        "Keep",
    )
    assert (await update([], brand="Set")).brand == "Set"
    for mask, fields, code in (
        (["nope"], {}, grpc.StatusCode.INVALID_ARGUMENT),
        (["create_time"], {}, grpc.StatusCode.INVALID_ARGUMENT),
        (["title"], {"title": ""}, grpc.StatusCode.INVALID_ARGUMENT),
        (["price", "offer_time"], {"offer_time": {"seconds": 5}}, grpc.StatusCode.ABORTED),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await update(mask, **fields)
        assert error.value.code() == code
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await shop.stub.UpdateProduct(
            pb.UpdateProductRequest(product=product_pb2.Product(product_id="none", title="x"))
        )
    assert missing.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_deleted_product_is_gone_at_once_and_from_the_index_soon(shop: Shop) -> None:
    await shop.import_all([product(1), product(2)])
    await shop.work()
    await shop.stub.DeleteProduct(pb.DeleteProductRequest(product_id="p000001"))
    found = await shop.stub.BatchGetProducts(pb.BatchGetProductsRequest(product_ids=["p000001", "p000002"]))
    assert [item.product_id for item in found.products] == ["p000002"]
    await shop.work()
    assert sorted(shop.index.products) == ["p000002"]
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await shop.stub.DeleteProduct(pb.DeleteProductRequest(product_id="p000001"))
    assert error.value.code() == grpc.StatusCode.NOT_FOUND
    await shop.stub.DeleteProduct(pb.DeleteProductRequest(product_id="p000001", allow_missing=True))
    await shop.import_all([product(1)])
    await shop.work()
    assert sorted(shop.index.products) == ["p000001", "p000002"]


async def test_pages_hold_every_product_once(shop: Shop) -> None:
    await shop.import_all([product(n, category_path=["Food", "Milk" if n % 2 else "Bread"]) for n in range(25)])
    seen: list[str] = []
    token = ""
    while True:
        page = await shop.stub.ListProducts(pb.ListProductsRequest(page_size=4, page_token=token, category="Milk"))
        seen += [item.product_id for item in page.products]
        token = page.next_page_token
        if not token:
            break
    assert seen == [f"p{n:06d}" for n in range(25) if n % 2]
    page = await shop.stub.ListProducts(pb.ListProductsRequest(page_size=4))
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await shop.stub.ListProducts(pb.ListProductsRequest(category="Milk", page_token=page.next_page_token))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_changes_wait_while_a_system_is_down_and_a_bad_product_stops_no_other(shop: Shop) -> None:
    await shop.import_all([product(n) for n in range(10)])
    shop.index.down = True
    assert await shop.worker.work_once() == 10
    assert (await shop.state()).unindexed_count == 10
    shop.index.down = False
    shop.encoder.bad.add("p000003")

    async def only_bad_left() -> bool:
        await shop.worker.work_once()
        return (await shop.state()).unindexed_count == 1

    await until(only_bad_left)
    assert sorted(shop.index.products) == [f"p{n:06d}" for n in range(10) if n != 3]
    shop.encoder.bad.clear()
    await shop.import_all([product(3, title="Repaired")])
    await shop.work()
    assert (await shop.state()).unindexed_count == 0


async def test_a_change_during_the_indexing_is_not_lost(shop: Shop) -> None:
    await shop.import_all([product(1)])
    changes = await shop.products.claim(10, 60)
    await shop.import_all([product(1, title="Changed meanwhile")])
    await shop.products.finish(changes)
    await shop.work()
    assert b"Changed meanwhile" in shop.index.products["p000001"].basic


async def test_two_workers_never_write_a_product_at_once(shop: Shop) -> None:
    """By way of two replicas of retrieval that do not know of each other yet, the older write could come last."""
    await shop.import_all([product(1)])
    first = await shop.products.claim(10, 60)
    await shop.import_all([product(1, title="Changed meanwhile"), product(2)])
    second = await shop.products.claim(10, 60)
    assert [change.product_id for change in second] == ["p000002"]
    await shop.products.put_back(second, "no", 600, blamed=True)
    await shop.products.put_back(first, "no", 600, blamed=True)
    third = await shop.products.claim(10, 60)
    assert [change.product_id for change in third] == ["p000001"], "what was noted meanwhile does not wait"
    await shop.products.finish(first)
    assert not await shop.products.claim(10, 60), "who lost a claim does not end another's"


async def test_a_rebuild_waits_for_who_writes_a_product_and_leaves_what_waits(shop: Shop) -> None:
    await shop.import_all([product(n) for n in range(3)])
    await shop.work()
    await shop.import_all([product(1, title="Renamed"), product(2, title="Failing")])
    held = await shop.products.claim(1, 60)
    rebuild = asyncio.create_task(_all(shop.stub.RebuildIndex(pb.RebuildIndexRequest())))
    done, _ = await asyncio.wait({rebuild}, timeout=1)
    assert not done
    await shop.products.put_back(held, "", 0, blamed=False)
    await rebuild
    assert (await shop.state()).unindexed_count == 2, "the index of before has not heard of them"
    await shop.work()
    assert (await shop.state()).unindexed_count == 0


async def _all(steps: Any) -> list[Any]:
    return [step async for step in steps]


async def test_a_dead_workers_claim_ends(shop: Shop) -> None:
    await shop.import_all([product(1)])
    assert await shop.products.claim(10, 0.2)
    assert not await shop.products.claim(10, 0.2)

    async def claimed_again() -> bool:
        return bool(await shop.products.claim(10, 60))

    await until(claimed_again)


async def test_rebuild_and_a_new_model(shop: Shop) -> None:
    await shop.import_all([product(n) for n in range(300)])
    await shop.work()
    before = shop.index.active
    steps = [step async for step in shop.stub.RebuildIndex(pb.RebuildIndexRequest())]
    assert [step.active for step in steps] == [False] * (len(steps) - 1) + [True]
    assert (steps[-1].done, len(shop.index.products)) == (300, 300)
    assert shop.index.active not in (before, "")
    shop.encoder.release = "m2"
    await shop.keeper.check("default")
    assert (shop.index.release, len(shop.index.products)) == ("m2", 300)


async def test_what_changes_while_an_index_is_rebuilt_is_in_the_new_one(shop: Shop) -> None:
    await shop.import_all([product(n) for n in range(4)])
    await shop.work()

    async def meanwhile() -> None:
        shop.encoder.on_encode = None
        cheaper = product_pb2.ProductOffer(product_id="p000001", availability=product_pb2.AVAILABILITY_OUT_OF_STOCK)
        cheaper.offer_time.GetCurrentTime()
        await shop.stub.UpdateOffers(pb.UpdateOffersRequest(offers=[cheaper]))
        await shop.stub.DeleteProduct(pb.DeleteProductRequest(product_id="p000002"))
        await shop.import_all([product(3, title="Renamed")])
        assert not await shop.worker.work_once(), "nobody else writes what the rebuild is writing"

    shop.encoder.on_encode = meanwhile
    async for _ in shop.stub.RebuildIndex(pb.RebuildIndexRequest()):
        pass
    await shop.work()
    assert (await shop.state()).unindexed_count == 0
    assert sorted(shop.index.products) == ["p000000", "p000001", "p000003"]
    assert not shop.index.products["p000001"].offer.availability.buyable
    assert b"Renamed" in shop.index.products["p000003"].basic


async def test_a_claimed_offer_does_not_hide_a_content_that_came_after_the_claim(shop: Shop) -> None:
    await shop.import_all([product(1)])
    await shop.work()
    dearer = product_pb2.ProductOffer(product_id="p000001", price={"units": 9, "currency_code": "USD"})  # type: ignore[arg-type]
    dearer.offer_time.GetCurrentTime()
    await shop.stub.UpdateOffers(pb.UpdateOffersRequest(offers=[dearer]))
    claim = shop.products.claim

    async def claim_and_be_late(limit: int, lease_seconds: float) -> list[Change]:
        changes = await claim(limit, lease_seconds)
        await shop.import_all([product(1, title="Renamed", price={"units": 9, "currency_code": "USD"})])
        return changes

    shop.products.claim = claim_and_be_late  # type: ignore[method-assign]  # the moment cannot be met otherwise
    await shop.worker.work_once()
    shop.products.claim = claim  # type: ignore[method-assign]
    assert b"Renamed" in shop.index.products["p000001"].basic


async def test_an_unchanged_import_still_guards_against_older_offers(shop: Shop) -> None:
    def at(minutes: int) -> Timestamp:
        return Timestamp(seconds=1_790_000_000 + 60 * minutes)

    await shop.import_all([product(1, offer_time=at(0))])
    again = await shop.import_all([product(1, offer_time=at(10))])
    assert again[0].unchanged_count == 1
    old = product_pb2.ProductOffer(product_id="p000001", price={"units": 8, "currency_code": "USD"}, offer_time=at(5))  # type: ignore[arg-type]
    refused = await shop.stub.UpdateOffers(pb.UpdateOffersRequest(offers=[old]))
    assert [item.item_id for item in refused.rejected] == ["p000001"]


async def test_a_system_that_is_away_is_no_products_fault(shop: Shop) -> None:
    await shop.import_all([product(n) for n in range(3)])
    shop.index.down = True
    for _ in range(4):
        async with asyncio.timeout(10):
            while not await shop.worker.work_once():
                await asyncio.sleep(0.05)
    shop.index.down = False
    async with asyncio.timeout(10):
        while not (changes := await shop.products.claim(10, 60)):
            await asyncio.sleep(0.05)
    assert [change.attempts for change in changes] == [1, 1, 1]


async def test_a_lost_index_is_filled_again(shop: Shop) -> None:
    await shop.import_all([product(n) for n in range(20)])
    await shop.work()
    shop.index.indexes, shop.index.active = {}, ""
    await shop.keeper.check("default")
    await shop.work()
    assert len(shop.index.products) == 20
    shop.index.products.clear()
    await shop.keeper.check("default")
    await shop.work()
    assert len(shop.index.products) == 20


async def test_tenants_do_not_see_each_other(shop: Shop) -> None:
    await shop.import_all([product(1)])
    other = (("mercato-tenant", "other"),)
    found = await shop.stub.BatchGetProducts(pb.BatchGetProductsRequest(product_ids=["p000001"]), metadata=other)
    assert not found.products
    await shop.stub.DeleteProduct(pb.DeleteProductRequest(product_id="p000001", allow_missing=True), metadata=other)
    assert (await shop.state()).product_count == 1


async def test_products_are_compared_by_what_is_stored(shop: Shop) -> None:
    await shop.import_all([product(1), product(2), product(3)])
    asked = recommendation_service_pb2.CompareProductsRequest(
        product_id="p000001", other_product_ids=["p000003", "p000001", "p000003"]
    )
    found = (await shop.stub.CompareProducts(pb.CompareProductsRequest(request=asked))).response
    assert [(one.product_id, one.cosine) for one in found.similarities] == [
        ("p000003", 0.0),
        ("p000001", 1.0),
        ("p000003", 0.0),
    ]
    asked.other_product_ids.append("nowhere")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await shop.stub.CompareProducts(pb.CompareProductsRequest(request=asked))
    assert (raised.value.code(), reason_of(raised.value)) == (grpc.StatusCode.NOT_FOUND, Reason.PRODUCT_NOT_FOUND)


async def test_overlapping_imports_do_not_deadlock(shop: Shop) -> None:
    forwards = [product(n, title=f"A{n}") for n in range(200)]
    backwards = [product(n, title=f"B{n}") for n in reversed(range(200))]
    await asyncio.gather(*(shop.import_all(batch, batch) for batch in (forwards, backwards) * 3))
    assert (await shop.state()).product_count == 200


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # type: ignore[misc]
            await asyncio.sleep(0.05)


async def test_a_hundred_thousand_products_in_one_stream_take_no_more_memory_than_the_first(shop: Shop) -> None:
    process, seen = psutil.Process(), dict[int, int]()

    async def requests() -> AsyncIterator[pb.ImportProductsRequest]:
        for batch in range(200):
            yield pb.ImportProductsRequest(products=[product(batch * 500 + n) for n in range(500)])

    created = 0
    async for response in shop.stub.ImportProducts(requests()):
        created += response.created_count
        if response.batch_index in (39, 199):
            seen[response.batch_index] = process.memory_info().rss
    assert created == 100_000
    assert (await shop.state()).product_count == 100_000
    assert seen[199] - seen[39] < 64 * 1024**2, "what comes after the first fifth costs no memory that stays"
