"""A gateway that records what reaches it and fails as it is told, and the proxy in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from mercato.gateway.v1 import (
    product_service_pb2,
    product_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
    support_service_pb2,
    support_service_pb2_grpc,
)

from shared.errors.base import MercatoError
from shared.server.bootstrap import serve_in_process
from shared.server.parts import ServiceParts, Servicer
from shared.settings.base import ServiceSettings
from tests.suites.http import Answer, request

SEARCH = "/v1/products:search"


class Gateway(
    search_service_pb2_grpc.SearchServiceServicer,
    support_service_pb2_grpc.SupportServiceServicer,
    product_service_pb2_grpc.ProductServiceServicer,
):
    """Three rpcs of the contract behind the real server runtime."""

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {}
        self.remaining: float | None = None
        self.error: MercatoError | None = None
        self.pause = 0.0
        self.bare: grpc.StatusCode | None = None
        """Ends calls with a status alone, as gRPC itself does."""
        self.broken_after: int | None = None

    async def Search(self, request: Any, context: Any) -> search_service_pb2.SearchResponse:
        self.metadata = {key: str(value) for key, value in context.invocation_metadata()}
        self.remaining = context.time_remaining()
        if self.bare:
            await context.abort(self.bare, "said by gRPC")
        await asyncio.sleep(self.pause)
        if self.error:
            raise self.error
        return search_service_pb2.SearchResponse(next_page_token=request.query)

    async def Ask(self, request: Any, context: Any) -> AsyncIterator[support_service_pb2.AskResponse]:
        for number in range(3):
            if number == self.broken_after:
                raise self.error or RuntimeError("broken")
            await asyncio.sleep(self.pause)
            yield support_service_pb2.AskResponse(text={"text": f"{request.question} {number}"})  # type: ignore[arg-type]

    async def ImportProducts(
        self, requests: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[product_service_pb2.ImportProductsResponse]:
        index = 0
        async for batch in requests:
            yield product_service_pb2.ImportProductsResponse(batch_index=index, created_count=len(batch.products))
            index += 1


class Front:
    """The proxy's address, the gateway behind it, and the proxy's log."""

    def __init__(self, address: str, status: str, gateway: Gateway, log: Path) -> None:
        self.address = address
        self.status = status
        self.gateway = gateway
        self.log = log

    async def ask(self, verb: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        return await asyncio.to_thread(request, self.address, verb, path, body, headers)

    async def search(self, query: str = "milk", **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.ask("POST", SEARCH, {"query": query}, sent)


@asynccontextmanager
async def gateway_on(port: int, gateway: Gateway) -> AsyncIterator[None]:
    services = (
        (search_service_pb2, "SearchService", search_service_pb2_grpc.add_SearchServiceServicer_to_server),
        (support_service_pb2, "SupportService", support_service_pb2_grpc.add_SupportServiceServicer_to_server),
        (product_service_pb2, "ProductService", product_service_pb2_grpc.add_ProductServiceServicer_to_server),
    )
    servicers = tuple(Servicer(file.DESCRIPTOR.services_by_name[name], add, gateway) for file, name, add in services)
    settings = ServiceSettings(listen=f"127.0.0.1:{port}", drain_seconds=0.0)
    async with serve_in_process(ServiceParts(name="gateway", servicers=servicers), settings):
        yield
