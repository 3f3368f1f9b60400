"""A table of bad requests, each with the exact code, reason and field paths that a client sees."""

from __future__ import annotations

import importlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass
from mercato.errors.v1 import error_reason_pb2

from tests.e2e.conftest import Running
from tests.suites.errors import fields_of, reason_of

ROWS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "hostile_requests.json").read_text())
FILES = {
    "ProductService": "product_service",
    "UserEventService": "user_event_service",
    "RecommendationService": "recommendation_service",
    "SearchService": "search_service",
    "SupportService": "support_service",
    "ProfileService": "profile_service",
    "OperationsService": "operations_service",
}


def expand(value: Any) -> Any:
    """`{"repeat": x, "times": n}` becomes a text or list n times as long; keeps the table readable."""
    if isinstance(value, dict):
        if set(value) == {"repeat", "times"}:
            repeated = expand(value["repeat"])
            return repeated * value["times"] if isinstance(repeated, str) else [repeated] * value["times"]
        return {key: expand(item) for key, item in value.items()}
    return [expand(item) for item in value] if isinstance(value, list) else value


async def call(channel: grpc.aio.Channel, row: dict[str, Any]) -> list[Any]:
    """Sends the row's request and returns all responses."""
    service, method = row["rpc"].split("/")
    module = importlib.import_module(f"mercato.gateway.v1.{FILES[service]}_pb2")
    stubs = importlib.import_module(f"mercato.gateway.v1.{FILES[service]}_pb2_grpc")
    described = module.DESCRIPTOR.services_by_name[service].methods_by_name[method]
    request = json_format.ParseDict(expand(row["request"]), GetMessageClass(described.input_type)())
    function = getattr(getattr(stubs, f"{service}Stub")(channel), method)
    metadata = tuple((key, value) for key, value in row.get("metadata", {"mercato-tenant": "hostile"}).items())
    if described.client_streaming:

        async def requests() -> AsyncIterator[Any]:
            yield request

        return [response async for response in function(requests(), metadata=metadata, timeout=20)]
    if described.server_streaming:
        return [response async for response in function(request, metadata=metadata, timeout=20)]
    return [await function(request, metadata=metadata, timeout=20)]


def test_the_table_is_large_and_covers_every_method() -> None:
    assert len(ROWS) >= 60
    methods = set()
    for service, name in FILES.items():
        module = importlib.import_module(f"mercato.gateway.v1.{name}_pb2")
        methods |= {f"{service}/{method.name}" for method in module.DESCRIPTOR.services_by_name[service].methods}
    # These take no arguments that could be wrong.
    free = {"OperationsService/GetStatus", "OperationsService/RebuildIndex"}
    assert methods - {row["rpc"] for row in ROWS} <= free


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
async def test_a_bad_request_is_answered_precisely(running: Running, row: dict[str, Any]) -> None:
    async with grpc.aio.insecure_channel(running.address) as channel:
        if "items" in row:
            errors = [error for response in await call(channel, row) for error in response.rejected]
            found = [
                [
                    error.index,
                    error_reason_pb2.ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_"),
                    sorted(violation.field or violation.rule for violation in error.violations),
                ]
                for error in errors
            ]
            assert found == row["items"]
            return
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(channel, row)
    error = raised.value
    reason, fields = (reason_of(error), fields_of(error))
    assert error.code().name == row["code"], error.details()
    assert reason == row["reason"]
    assert sorted(fields) == sorted(row.get("fields", []))
    assert "Traceback" not in (error.details() or "")


async def test_malformed_bytes_are_the_callers_mistake(running: Running) -> None:
    async with grpc.aio.insecure_channel(running.address) as channel:
        method = channel.unary_unary("/mercato.gateway.v1.SearchService/Search")
        for payload in (b"\xff\xff\xff", b"\x0a\x02\xc3\x28"):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await method(payload, timeout=10)
            assert raised.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL)
            assert "Traceback" not in (raised.value.details() or "")


async def test_an_unknown_method_is_unimplemented(running: Running) -> None:
    async with grpc.aio.insecure_channel(running.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary("/mercato.gateway.v1.SearchService/Nope")(b"", timeout=10)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
