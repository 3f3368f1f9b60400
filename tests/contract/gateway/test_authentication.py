"""API keys as a client meets them, through the real interceptors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from mercato.gateway.v1 import search_service_pb2 as pb
from mercato.gateway.v1 import search_service_pb2_grpc

from services.gateway.api_keys import ApiKeyFile
from services.gateway.authentication import AuthenticationInterceptor
from shared.context.request import current_tenant
from shared.server.bootstrap import serve_in_process
from shared.server.parts import ServiceParts, Servicer


class Echo(search_service_pb2_grpc.SearchServiceServicer):
    """Answers with the tenant."""

    async def Search(self, request: pb.SearchRequest, context: Any) -> pb.SearchResponse:
        return pb.SearchResponse(attribution_token=current_tenant())


@pytest.fixture
def keys(tmp_path: Path) -> ApiKeyFile:
    return ApiKeyFile(tmp_path / "api_keys.json")


@pytest.fixture
async def stub(keys: ApiKeyFile) -> AsyncIterator[search_service_pb2_grpc.SearchServiceStub]:
    servicer = Servicer(
        pb.DESCRIPTOR.services_by_name["SearchService"],
        search_service_pb2_grpc.add_SearchServiceServicer_to_server,
        Echo(),
    )
    parts = ServiceParts("echo", (servicer,), extra_interceptors=(AuthenticationInterceptor(keys),))
    async with serve_in_process(parts) as address, grpc.aio.insecure_channel(address) as channel:
        yield search_service_pb2_grpc.SearchServiceStub(channel)


async def search(stub: search_service_pb2_grpc.SearchServiceStub, **metadata: str) -> str:
    pairs = tuple((key.replace("_", "-"), value) for key, value in metadata.items())
    return (await stub.Search(pb.SearchRequest(query="milk"), metadata=pairs)).attribution_token


async def test_keys_are_off_until_there_is_one(
    stub: search_service_pb2_grpc.SearchServiceStub, keys: ApiKeyFile
) -> None:
    assert await search(stub) == "default"
    secret = keys.create("web", "shop", ("read",))
    with pytest.raises(grpc.aio.AioRpcError) as none:
        await search(stub)
    assert none.value.code() is grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.aio.AioRpcError) as wrong:
        await search(stub, x_api_key=secret[:-1])
    assert wrong.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert await search(stub, x_api_key=secret) == "shop"
    assert await search(stub, authorization=f"Bearer {secret}", mercato_tenant="shop") == "shop"
    keys.revoke("web")
    assert await search(stub) == "default"


async def test_a_key_opens_its_tenant_and_its_scopes_only(
    stub: search_service_pb2_grpc.SearchServiceStub, keys: ApiKeyFile
) -> None:
    reader, writer = keys.create("reader", "shop", ("read",)), keys.create("writer", "shop", ("write",))
    for metadata in ({"x_api_key": reader, "mercato_tenant": "other"}, {"x_api_key": writer}):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await search(stub, **metadata)
        assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
