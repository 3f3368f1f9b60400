"""The Python client against a server of the contract with the real interceptors."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from mercato.gateway.v1 import (
    product_pb2,
    product_service_pb2,
    product_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
    support_service_pb2,
    support_service_pb2_grpc,
)
from mercato_client import AsyncMercato, ImportFailed, Mercato, Options, RetryPolicy, problem_of

from shared.context.request import current_tenant
from shared.errors.base import InvalidArgument, MercatoError, ResourceExhausted, Unavailable, Violation
from shared.server.bootstrap import serve_in_process
from shared.server.parts import ServiceParts, Servicer

QUICK = RetryPolicy(first_pause_seconds=0.01)
MILK = search_service_pb2.SearchRequest(query="milk")


class Gateway(
    search_service_pb2_grpc.SearchServiceServicer,
    support_service_pb2_grpc.SupportServiceServicer,
    product_service_pb2_grpc.ProductServiceServicer,
):
    """Fails as often as it is told, then answers."""

    def __init__(self) -> None:
        self.errors: list[MercatoError] = []
        self.times: list[float] = []
        self.seen: dict[str, str] = {}
        self.stored: list[str] = []
        self.break_after = -1
        self.pause = 0.0

    async def Search(self, request: Any, context: Any) -> search_service_pb2.SearchResponse:
        self.times.append(time.monotonic())
        self.seen = {**{key: str(value) for key, value in context.invocation_metadata()}, "tenant": current_tenant()}
        await asyncio.sleep(self.pause)
        if self.errors:
            raise self.errors.pop(0)
        return search_service_pb2.SearchResponse(next_page_token=request.query)

    async def Ask(self, request: Any, context: Any) -> AsyncIterator[support_service_pb2.AskResponse]:
        for text in ("a", "b"):
            yield support_service_pb2.AskResponse(text={"text": text})  # type: ignore[arg-type]

    async def ImportProducts(
        self, requests: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[product_service_pb2.ImportProductsResponse]:
        index = position = 0
        async for batch in requests:
            if self.break_after == len(self.stored):
                self.break_after = -1
                raise self.errors.pop(0)
            rejected = [{"index": position + i} for i, item in enumerate(batch.products) if item.title == "bad"]
            self.stored += [item.product_id for item in batch.products if item.title != "bad"]
            count = len(batch.products) - len(rejected)
            yield product_service_pb2.ImportProductsResponse(batch_index=index, created_count=count, rejected=rejected)  # type: ignore[arg-type]
            index, position = index + 1, position + len(batch.products)


@asynccontextmanager
async def serving(gateway: Gateway) -> AsyncIterator[str]:
    services = (
        (search_service_pb2, "SearchService", search_service_pb2_grpc.add_SearchServiceServicer_to_server),
        (support_service_pb2, "SupportService", support_service_pb2_grpc.add_SupportServiceServicer_to_server),
        (product_service_pb2, "ProductService", product_service_pb2_grpc.add_ProductServiceServicer_to_server),
    )
    servicers = tuple(Servicer(file.DESCRIPTOR.services_by_name[name], add, gateway) for file, name, add in services)
    async with serve_in_process(ServiceParts(name="gateway", servicers=servicers)) as address:
        yield address


def products(count: int) -> list[product_pb2.Product]:
    return [product_pb2.Product(product_id=f"p-{n}", title="bad" if n % 7 == 3 else "good") for n in range(count)]


async def test_every_call_says_who_calls() -> None:
    gateway = Gateway()
    options = Options(tenant="shop-1", api_key="secret", token=lambda: "t-1")
    async with serving(gateway) as address, AsyncMercato(address, options) as mercato:
        answer = await mercato.searching.Search(MILK)
    assert answer.next_page_token == "milk"
    assert (gateway.seen["tenant"], gateway.seen["x-api-key"]) == ("shop-1", "secret")
    assert gateway.seen["authorization"] == "Bearer t-1"
    assert "secret" not in repr(options)


async def test_the_delay_that_the_gateway_names_is_kept() -> None:
    gateway = Gateway()
    gateway.errors = [ResourceExhausted("busy", retry_after_seconds=0.3), Unavailable("catalog")]
    async with serving(gateway) as address, AsyncMercato(address, Options(retry=QUICK)) as mercato:
        assert (await mercato.searching.Search(MILK)).next_page_token == "milk"
    assert len(gateway.times) == 3
    assert gateway.times[1] - gateway.times[0] >= 0.3


async def test_what_would_fail_again_is_not_tried_again() -> None:
    gateway = Gateway()
    gateway.errors = [InvalidArgument([Violation("filter.brands[3]", "is too long", "string.max_len")])]
    async with serving(gateway) as address, AsyncMercato(address, Options(retry=QUICK)) as mercato:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await mercato.searching.Search(MILK)
    problem = problem_of(raised.value)
    assert (problem.code, problem.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert [(one.field, one.rule) for one in problem.violations] == [("filter.brands[3]", "string.max_len")]
    assert len(gateway.times) == 1


async def test_repetitions_end_with_the_callers_time() -> None:
    gateway = Gateway()
    gateway.errors = [ResourceExhausted("busy", retry_after_seconds=60)] * 9
    async with serving(gateway) as address, AsyncMercato(address) as mercato:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await mercato.searching.Search(MILK, timeout=5)
    assert problem_of(raised.value).retry_after_seconds == 60
    assert len(gateway.times) == 1, "a pause longer than the time left is not begun"


async def test_a_call_without_a_limit_gets_one() -> None:
    gateway = Gateway()
    gateway.pause = 60
    async with serving(gateway) as address, AsyncMercato(address, Options(deadline_seconds=0.2)) as mercato:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await mercato.searching.Search(MILK)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_repetitions_are_bounded_over_all_calls() -> None:
    gateway = Gateway()
    gateway.errors = [Unavailable("catalog")] * 100
    policy = RetryPolicy(first_pause_seconds=0.001, budget=3, earned=0)
    async with serving(gateway) as address, AsyncMercato(address, Options(retry=policy)) as mercato:
        for _ in range(10):
            with pytest.raises(grpc.aio.AioRpcError):
                await mercato.searching.Search(MILK)
    assert len(gateway.times) == 10 + 3


async def test_an_import_goes_on_after_a_lost_stream_and_loses_nothing() -> None:
    gateway = Gateway()
    gateway.errors, gateway.break_after = [Unavailable("catalog")], 0
    async with serving(gateway) as address, AsyncMercato(address) as mercato:
        result = await mercato.import_products(products(1200))
    assert sorted(set(gateway.stored)) == sorted(item.product_id for item in products(1200) if item.title == "good")
    assert [one.index for one in result.rejected] == [n for n in range(1200) if n % 7 == 3]
    assert result.sent == 1200
    assert result.reconnects == 1


async def test_an_import_that_cannot_go_on_says_what_is_stored() -> None:
    gateway = Gateway()
    gateway.errors, gateway.break_after = [InvalidArgument((), "no")], 0
    async with serving(gateway) as address, AsyncMercato(address) as mercato:
        with pytest.raises(ImportFailed) as raised:
            await mercato.import_products(products(10))
    assert raised.value.problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.result.counts["created_count"] == 0


async def test_the_same_without_asyncio() -> None:
    gateway = Gateway()
    gateway.errors = [Unavailable("catalog")]

    def program(address: str) -> tuple[str, list[str], int]:
        with Mercato(address, Options(retry=QUICK)) as mercato:
            found = mercato.call(mercato.stubs.searching.Search, MILK)
            asked = support_service_pb2.AskRequest(question="why")
            parts = [part.text.text for part in mercato.stream(mercato.stubs.support.Ask, asked)]
            return found.next_page_token, parts, mercato.import_products(products(3)).counts["created_count"]

    async with serving(gateway) as address:
        assert await asyncio.to_thread(program, address) == ("milk", ["a", "b"], 3)


def test_the_client_needs_neither_the_services_nor_a_model() -> None:
    code = "import sys, mercato_client; print([m for m in ('torch', 'numpy', 'services', 'shared', 'pydantic') if m in sys.modules])"
    paths = [path for path in sys.path if path]
    run = [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}; {code}"]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == "[]"
