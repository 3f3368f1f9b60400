"""A gateway's access control on a real database, in front of an echo of every operations rpc that it owns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from mercato.gateway.v1 import (
    api_key_pb2,
    operations_service_pb2,
    operations_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
)
from mercato.gateway.v1 import search_service_pb2 as search_pb

from services.gateway.access.wiring import open_access
from services.gateway.servicers.access import AccessRpcs, AccessUseCases
from services.gateway.settings import GatewaySettings
from shared.context.request import current_tenant
from shared.server.bootstrap import serve_in_process
from shared.server.parts import ServiceParts, Servicer


class Echo(search_service_pb2_grpc.SearchServiceServicer):
    """Answers with the tenant."""

    async def Search(self, request: search_pb.SearchRequest, context: Any) -> search_pb.SearchResponse:
        return search_pb.SearchResponse(attribution_token=current_tenant())


class Operations(AccessRpcs, operations_service_pb2_grpc.OperationsServiceServicer):
    """The rpcs of access control, and one act that fails."""

    def __init__(self, access: AccessUseCases) -> None:
        super().__init__(access)

    async def PromoteRelease(self, request: Any, context: Any) -> Any:
        raise RuntimeError("a defect")


@dataclass
class Front:
    """A client of one gateway."""

    address: str
    channel: grpc.aio.Channel

    async def search(self, **metadata: str) -> str:
        stub = search_service_pb2_grpc.SearchServiceStub(self.channel)
        return str(
            (await stub.Search(search_pb.SearchRequest(query="milk"), metadata=pairs(metadata))).attribution_token
        )

    @property
    def operations(self) -> operations_service_pb2_grpc.OperationsServiceStub:
        return operations_service_pb2_grpc.OperationsServiceStub(self.channel)

    async def create(
        self, name: str, *scopes: str, lifetime: int | None = None, **metadata: str
    ) -> api_key_pb2.CreateApiKeyResponse:
        request = api_key_pb2.CreateApiKeyRequest(name=name, scopes=scopes)
        if lifetime:
            request.lifetime.FromSeconds(lifetime)
        return await self.operations.CreateApiKey(request, metadata=pairs(metadata))


def pairs(metadata: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((key.replace("_", "-"), value) for key, value in metadata.items())


OpenFront = Callable[..., AbstractAsyncContextManager[Front]]


@pytest.fixture
def front(postgres_database: str, tmp_path: Path) -> OpenFront:
    """``async with front(require_authentication=True) as gateway``; several share the database."""

    @asynccontextmanager
    async def opened(**changes: Any) -> AsyncIterator[Front]:
        values = {"postgres_dsn": postgres_database, "data": tmp_path, "keys_poll_seconds": 0.1, "drain_seconds": 0.0}
        settings = GatewaySettings(**{"listen": "127.0.0.1:0", **values, **changes})
        async with open_access(settings) as access:
            parts = ServiceParts(
                "echo",
                (
                    Servicer(
                        search_service_pb2.DESCRIPTOR.services_by_name["SearchService"],
                        search_service_pb2_grpc.add_SearchServiceServicer_to_server,
                        Echo(),
                    ),
                    Servicer(
                        operations_service_pb2.DESCRIPTOR.services_by_name["OperationsService"],
                        operations_service_pb2_grpc.add_OperationsServiceServicer_to_server,
                        Operations(access.use_cases),
                    ),
                ),
                dependencies=access.checks,
                critical=frozenset({"keys"}),
                background=access.background,
                extra_interceptors=access.interceptors,
            )
            async with (
                serve_in_process(parts, settings) as address,
                grpc.aio.insecure_channel(address.replace("0.0.0.0", "127.0.0.1")) as channel,
            ):
                yield Front(address, channel)

    return opened


@pytest.fixture
async def gateway(front: OpenFront) -> AsyncIterator[Front]:
    async with front() as opened:
        yield opened
