"""The log of administrative acts, on a real database and through the real interceptors."""

from __future__ import annotations

import grpc
import psycopg
import pytest
from mercato.gateway.v1 import api_key_pb2, audit_event_pb2, operations_service_pb2

from tests.integration.gateway.conftest import Front, pairs

List = audit_event_pb2.ListAuditEventsRequest


async def test_acts_are_written_with_who_what_when_from_where_and_outcome(gateway: Front) -> None:
    admin = await gateway.create("admin", "operate", mercato_tenant="shop")
    mine = pairs({"x_api_key": admin.secret, "x_request_id": "request-1"})
    with pytest.raises(grpc.aio.AioRpcError):
        await gateway.operations.PromoteRelease(
            operations_service_pb2.PromoteReleaseRequest(release_id="r-1\n\x1b[31m"), metadata=mine
        )
    with pytest.raises(grpc.aio.AioRpcError):
        await gateway.operations.RevokeApiKey(api_key_pb2.RevokeApiKeyRequest(key_id="k-none"), metadata=mine)
    narrow = (await gateway.create("narrow", "audit", x_api_key=admin.secret)).key
    events = (await gateway.operations.ListAuditEvents(List(), metadata=mine)).events
    assert [(event.actor, event.action.split("/")[1], event.target, event.outcome) for event in events] == [
        (f"key:{admin.key.key_id}", "CreateApiKey", narrow.key_id, "OK"),
        (f"key:{admin.key.key_id}", "RevokeApiKey", "k-none", "NOT_FOUND"),
        (f"key:{admin.key.key_id}", "PromoteRelease", "r-1??[31m", "INTERNAL"),
        ("open", "CreateApiKey", admin.key.key_id, "OK"),
    ]
    assert {event.peer for event in events} == {"127.0.0.1"}
    assert [event.request_id for event in events][1:3] == ["request-1", "request-1"]
    assert all(event.begin_time.ToNanoseconds() <= event.end_time.ToNanoseconds() + 10**9 for event in events)


async def test_an_act_that_is_not_allowed_is_written_and_one_without_credentials_is_not(gateway: Front) -> None:
    admin = (await gateway.create("admin", "read", "operate")).secret
    reader = await gateway.create("reader", "read", x_api_key=admin)
    for metadata in ({"x_api_key": reader.secret}, {}):
        with pytest.raises(grpc.aio.AioRpcError):
            await gateway.create("mine", "operate", **metadata)
    request = List(actor=f"key:{reader.key.key_id}")
    events = (await gateway.operations.ListAuditEvents(request, metadata=pairs({"x_api_key": admin}))).events
    assert [(event.action, event.outcome) for event in events] == [
        ("OperationsService/CreateApiKey", "PERMISSION_DENIED")
    ]
    everything = (await gateway.operations.ListAuditEvents(List(), metadata=pairs({"x_api_key": admin}))).events
    assert len(everything) == 3


async def test_acts_are_listed_in_pages_of_one_tenant(gateway: Front) -> None:
    admin = pairs({"x_api_key": (await gateway.create("key 0", "operate", mercato_tenant="a")).secret})
    for number in range(1, 5):
        request = api_key_pb2.CreateApiKeyRequest(name=f"key {number}", scopes=["audit"])
        made = await gateway.operations.CreateApiKey(request, metadata=admin)
    numbers: list[int] = []
    token = ""
    while True:
        page = await gateway.operations.ListAuditEvents(List(page_size=2, page_token=token), metadata=admin)
        numbers += [event.event_number for event in page.events]
        token = page.next_page_token
        if not token:
            break
    assert len(numbers) == 5
    assert numbers == sorted(numbers, reverse=True)
    since = page.events[-1].end_time
    later = await gateway.operations.ListAuditEvents(List(start_time=since), metadata=admin)
    assert len(later.events) == 4
    earlier = await gateway.operations.ListAuditEvents(List(end_time=since), metadata=admin)
    assert len(earlier.events) == 1
    assert made.key.name == "key 4"


@pytest.mark.parametrize(("table", "column"), [("audit_events", "actor"), ("audit_outcomes", "outcome")])
async def test_nothing_in_the_log_can_be_changed_or_deleted(
    gateway: Front, postgres_database: str, table: str, column: str
) -> None:
    await gateway.create("admin", "operate")
    for statement in (f"DELETE FROM gateway.{table}", f"TRUNCATE gateway.{table} CASCADE"):
        with (
            psycopg.connect(postgres_database) as connection,
            pytest.raises(psycopg.errors.RaiseException, match="append-only"),
        ):
            connection.execute(statement)
    with psycopg.connect(postgres_database) as connection, pytest.raises(psycopg.errors.RaiseException):
        connection.execute(f"UPDATE gateway.{table} SET {column} = ''")
