"""One person is exported and erased in every store, also while a store is down; the receipt holds."""

from __future__ import annotations

import os
import signal
import time

import grpc
import pytest
from mercato.errors.v1 import error_reason_pb2
from mercato.gateway.v1 import privacy_service_pb2 as pb
from mercato.gateway.v1 import user_event_pb2, user_event_service_pb2
from mercato.gateway.v1.privacy_service_pb2_grpc import PrivacyServiceStub

from shared.privacy.receipt import verify
from tests.e2e.conftest import Running
from tests.e2e.shop import Shop, purchase, until

DONE, PENDING = pb.ERASURE_STATE_DONE, pb.ERASURE_STATE_PENDING


async def erase(shop: Shop, user_id: str) -> pb.Erasure:
    request = user_event_service_pb2.EraseUserDataRequest(user_id=user_id)
    answer: user_event_service_pb2.EraseUserDataResponse = await shop.call(shop.events.EraseUserData, request)
    return answer.erasure


async def exported(shop: Shop, user_id: str) -> list[user_event_service_pb2.ExportUserDataResponse]:
    request = user_event_service_pb2.ExportUserDataRequest(user_id=user_id)
    return [part async for part in shop.events.ExportUserData(request, metadata=shop.metadata)]


async def test_an_export_holds_events_and_what_is_derived_from_them(shop: Shop) -> None:
    await shop.write([purchase(f"e-{number}", "ann", ["dairy-0"], number) for number in range(1, 4)])
    parts = await exported(shop, "ann")
    assert sorted(event.event_id for part in parts for event in part.events) == ["e-1", "e-2", "e-3"]
    records = [record for part in parts for record in part.records]
    assert [(record.store, record.kind) for record in records] == [("profile", "derived_profile")]
    assert records[0].content["userId"] == "ann"
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await exported(shop, "nobody")
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


async def test_an_erasure_waits_for_a_store_that_is_down_and_ends_by_itself(running: Running, shop: Shop) -> None:
    await shop.filled()
    privacy = PrivacyServiceStub(shop.channel)
    unit = running.suite.suite.unit("trainer")
    assert unit.pid is not None
    os.kill(unit.pid, signal.SIGSTOP)
    try:
        erasure = await erase(shop, "user-3")
        states = {store.store: store.state for store in erasure.stores}
        assert states == {"profile": DONE, "trainer": PENDING}
        assert (erasure.state, erasure.receipt) == (PENDING, ""), "nothing is claimed before it is done"
        late = await shop.write([purchase("late", "user-3", ["dairy-0"], 0.5)])
        assert [one.reason for one in late.rejected] == [error_reason_pb2.ERROR_REASON_PERSON_ERASED]
    finally:
        os.kill(unit.pid, signal.SIGCONT)
    found = pb.Erasure()

    async def done() -> bool:
        request = pb.GetErasureRequest(receipt_id=erasure.receipt_id)
        found.CopyFrom((await shop.call(privacy.GetErasure, request)).erasure)
        return found.state == DONE

    await until(done, 200)
    jwk = (await shop.call(privacy.GetReceiptKey, pb.GetReceiptKeyRequest())).jwk
    content = verify(found.receipt, jwk)
    assert (content["receipt_id"], content["tenant"]) == (erasure.receipt_id, shop.tenant)
    stores = {one["store"]: one for one in content["stores"]}
    assert stores["profile"]["erased"]["events"] == 10
    assert "releases learnt before" in stores["trainer"]["notes"][0]
    assert "user-3" not in str(content)


async def test_erasing_again_counts_nothing_and_new_events_begin_a_new_person(shop: Shop) -> None:
    await shop.write([purchase("e-1", "ann", ["dairy-0"], 1)])
    assert (await erase(shop, "ann")).stores[0].row_counts["events"] == 1
    again = await erase(shop, "ann")
    assert (again.state, again.stores[0].row_counts["events"]) == (DONE, 0)
    fresh = purchase("e-2", "ann", ["dairy-0"], 0)
    fresh.event_time.FromSeconds(int(time.time()) + 30)
    answer = await shop.write([fresh])
    assert answer.accepted_count == 1
    events: list[user_event_pb2.UserEvent] = [event for part in await exported(shop, "ann") for event in part.events]
    assert [event.event_id for event in events] == ["e-2"]


async def test_retention_can_be_looked_at_through_the_gateway(shop: Shop) -> None:
    await shop.write([purchase("e-1", "ann", ["dairy-0"], 1)])
    privacy = PrivacyServiceStub(shop.channel)
    answer = await shop.call(privacy.ApplyRetention, pb.ApplyRetentionRequest(dry_run=True))
    assert not answer.unreachable_stores
    kinds = {(one.store, one.kind) for one in answer.results}
    assert {("profile", "events"), ("profile", "quarantine"), ("trainer", "job_remains")} <= kinds
    assert sum(one.row_count for one in answer.results if one.store == "profile") == 0
