"""Idempotency keys on a real database and through the real interceptors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from mercato.gateway.v1 import product_pb2, product_service_pb2, product_service_pb2_grpc

from services.gateway.access.wiring import open_access
from services.gateway.limits.wiring import open_limits
from services.gateway.settings import GatewaySettings
from shared.errors.base import Unavailable
from shared.errors.mapping import from_rpc_error
from shared.server.bootstrap import serve_in_process
from shared.server.parts import ServiceParts, Servicer

Code = grpc.StatusCode


@dataclass
class Products(product_service_pb2_grpc.ProductServiceServicer):
    """Counts what it does; waits for ``go``."""

    done: int = 0
    begun: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0

    async def UpdateProduct(self, request: Any, context: Any) -> Any:
        self.begun += 1
        await self.go.wait()
        if self.failures:
            self.failures -= 1
            raise Unavailable("catalog")
        self.done += 1
        product = product_pb2.Product(product_id=request.product.product_id, title=f"version {self.done}")
        return product_service_pb2.UpdateProductResponse(product=product)


@dataclass
class Shop:
    products: Products
    channel: grpc.aio.Channel

    async def update(self, key: str, product_id: str = "p", tenant: str = "shop") -> str:
        request = product_service_pb2.UpdateProductRequest(
            product=product_pb2.Product(product_id=product_id, title="x")
        )
        metadata = (("mercato-tenant", tenant), *((("idempotency-key", key),) if key else ()))
        stub = product_service_pb2_grpc.ProductServiceStub(self.channel)
        response = await stub.UpdateProduct(request, metadata=metadata, timeout=20)
        return response.product.title


@pytest.fixture
async def shop(postgres_database: str, tmp_path: Path) -> AsyncIterator[Shop]:
    settings = GatewaySettings(listen="127.0.0.1:0", postgres_dsn=postgres_database, data=tmp_path, drain_seconds=0.0)
    products = Products()
    products.go.set()
    async with open_access(settings) as access, open_limits(settings) as limits:
        servicer = Servicer(
            product_service_pb2.DESCRIPTOR.services_by_name["ProductService"],
            product_service_pb2_grpc.add_ProductServiceServicer_to_server,
            products,
        )
        parts = ServiceParts(
            "gateway",
            (servicer,),
            background=(*access.background, *limits.background),
            extra_interceptors=(*access.interceptors, *limits.interceptors),
        )
        async with serve_in_process(parts, settings) as address, grpc.aio.insecure_channel(address) as channel:
            yield Shop(products, channel)


async def refusal(call: Any) -> tuple[Code, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code(), from_rpc_error(error.value).reason.value


async def test_a_write_sent_again_is_done_once_and_answered_twice(shop: Shop) -> None:
    assert [await shop.update("k-1") for _ in range(3)] == ["version 1"] * 3
    assert await shop.update("k-2") == "version 2"
    assert await shop.update("k-1", tenant="other") == "version 3"
    assert [await shop.update("") for _ in range(2)] == ["version 4", "version 5"]


async def test_the_same_key_with_another_request_is_refused(shop: Shop) -> None:
    await shop.update("k-1")
    assert await refusal(shop.update("k-1", product_id="q")) == (Code.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED")
    assert shop.products.done == 1


async def test_a_second_request_waits_for_the_first(shop: Shop) -> None:
    shop.products.go.clear()
    calls = [asyncio.ensure_future(shop.update("k-1")) for _ in range(5)]
    async with asyncio.timeout(10):
        while not shop.products.begun:
            await asyncio.sleep(0.01)
    shop.products.go.set()
    assert await asyncio.gather(*calls) == ["version 1"] * 5


async def test_a_failed_write_may_be_tried_again(shop: Shop) -> None:
    shop.products.failures = 1
    assert (await refusal(shop.update("k-1")))[0] is Code.UNAVAILABLE
    assert await shop.update("k-1") == "version 1"


@pytest.mark.parametrize("key", ["a b", "x" * 129])
async def test_a_malformed_key_is_refused(shop: Shop, key: str) -> None:
    assert await refusal(shop.update(key)) == (Code.INVALID_ARGUMENT, "INVALID_IDEMPOTENCY_KEY")


async def test_answers_are_kept_for_a_day(shop: Shop, postgres_database: str) -> None:
    await shop.update("k-1")
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("UPDATE gateway.kept_answers SET create_time = now() - interval '25 hours'")
    assert await shop.update("k-1", product_id="q") == "version 2"


async def test_the_claim_of_a_gateway_that_died_ends(shop: Shop, postgres_database: str) -> None:
    await shop.update("k-1")
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("UPDATE gateway.kept_answers SET answer = NULL, claim_end = now() - interval '1 second'")
    assert await shop.update("k-1") == "version 2"
