"""The register of erasures, tombstones and retention, on real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import grpc
import pytest
from mercato.errors.v1 import error_reason_pb2
from mercato.gateway.v1 import privacy_service_pb2 as gateway_pb
from mercato.privacy.v1 import erasure_register_service_pb2 as register_pb
from mercato.privacy.v1 import personal_data_service_pb2 as pb
from mercato.privacy.v1.erasure_register_service_pb2_grpc import ErasureRegisterServiceStub
from mercato.privacy.v1.personal_data_service_pb2_grpc import PersonalDataServiceStub
from mercato.profile.v1 import profile_service_pb2 as profile_pb
from mercato.profile.v1.profile_service_pb2_grpc import ProfileServiceStub

from services.profile.domain.event import DAY_US, SECOND_US
from shared.privacy.receipt import verify
from tests.fakes.profile.events import purchase, view
from tests.integration.profile.test_service import now_us, people_rows, request, rows, serving  # noqa: F401
from tests.suites.errors import reason_of

STORES = ["profile", "trainer"]
PENDING, DONE = gateway_pb.ERASURE_STATE_PENDING, gateway_pb.ERASURE_STATE_DONE
PERSON_ERASED = error_reason_pb2.ERROR_REASON_PERSON_ERASED


class Privacy:
    """The three services of one profile process."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.profile = ProfileServiceStub(channel)
        self.register = ErasureRegisterServiceStub(channel)
        self.data = PersonalDataServiceStub(channel)

    async def begin(self, **ids: str) -> register_pb.PendingErasure:
        wanted = register_pb.BeginErasureRequest(stores=STORES, **ids)
        return (await self.register.BeginErasure(wanted)).pending

    async def erase_here(self, pending: register_pb.PendingErasure) -> pb.ErasePersonResponse:
        wanted = pb.ErasePersonRequest(receipt_id=pending.erasure.receipt_id, person=pending.person)
        return await self.data.ErasePerson(wanted)

    async def record(self, pending: register_pb.PendingErasure, store: str, **outcome: Any) -> gateway_pb.Erasure:
        wanted = register_pb.RecordStoreRequest(receipt_id=pending.erasure.receipt_id, store=store, **outcome)
        return (await self.register.RecordStore(wanted)).erasure

    async def write(self, *events: Any) -> profile_pb.WriteUserEventsResponse:
        return await self.profile.WriteUserEvents(request(events))


async def test_an_erasure_is_done_when_the_last_store_is_and_then_signed(
    postgres_database: str,
    tmp_path: Path,
    now_us: int,  # noqa: F811
) -> None:
    async with serving(postgres_database, data=tmp_path) as channel:
        privacy = Privacy(channel)
        await privacy.write(
            purchase("milk", user_id="ann", at=now_us - DAY_US),
            view("tea", visitor_id="v-ann", user_id="ann", at=now_us),
        )
        pending = await privacy.begin(visitor_id="v-ann")
        assert (pending.person.user_id, list(pending.person.visitor_ids)) == ("ann", ["v-ann"])
        assert [len(key) for key in pending.person.person_keys] == [16]
        assert [(one.store, one.state) for one in pending.erasure.stores] == [
            ("profile", PENDING),
            ("trainer", PENDING),
        ]

        again = await privacy.begin(user_id="ann")
        assert again.erasure.receipt_id == pending.erasure.receipt_id, "the same person, not done yet"
        assert again.person.person_keys == pending.person.person_keys

        first = await privacy.erase_here(pending)
        assert {one.kind: one.row_count for one in first.erased} == {"events": 2, "derived_records": 3}
        repeated = await privacy.erase_here(pending)
        assert repeated.erased == first.erased, "an answer that was lost is not counted as nothing"
        erasure = await privacy.record(pending, "profile", done=first)
        erasure = await privacy.record(pending, "trainer", failure="DEPENDENCY_UNAVAILABLE")
        assert (erasure.state, erasure.receipt, erasure.stores[1].failure) == (PENDING, "", "DEPENDENCY_UNAVAILABLE")
        erasure = await privacy.record(pending, "trainer", done=pb.ErasePersonResponse(notes=["n"]))
        assert erasure.state == DONE

        jwk = (await privacy.register.GetReceiptKey(register_pb.GetReceiptKeyRequest())).jwk
        content = verify(erasure.receipt, jwk)
        assert [(one["store"], one["erased"]) for one in content["stores"]] == [
            ("profile", {"derived_records": 3, "events": 2}),
            ("trainer", {}),
        ]
        assert "ann" not in json.dumps(content)
        late = await privacy.record(pending, "trainer", failure="too late")
        assert late == erasure, "a finished erasure never changes"
    left = people_rows(postgres_database)
    assert left == {"erasure_requests": 1, "erasure_stores": 2, "tombstones": 2}
    kept = rows(postgres_database, "SELECT subject FROM profile.erasure_requests")
    assert kept == [(None,)], "whose it was is destroyed"
    text = repr([rows(postgres_database, f"SELECT t::text FROM profile.{name} t") for name in [*left, "erasures"]])
    assert "ann" not in text


async def test_late_events_of_an_erased_person_are_refused_and_new_ones_are_not(
    postgres_database: str,
    tmp_path: Path,
    now_us: int,  # noqa: F811
) -> None:
    async with serving(postgres_database, data=tmp_path) as channel:
        privacy = Privacy(channel)
        old = view("tea", user_id="ann", visitor_id="v", at=now_us - 60 * SECOND_US)
        await privacy.write(old)
        pending = await privacy.begin(user_id="ann")
        await privacy.erase_here(pending)
        late = view("milk", user_id="ann", at=now_us - SECOND_US)
        by_visitor = view("milk", visitor_id="v", at=now_us - SECOND_US)
        other = view("milk", user_id="bob", at=now_us - SECOND_US)
        fresh = view("milk", user_id="ann", at=now_us + 200 * SECOND_US)
        answer = await privacy.write(old, late, other, by_visitor, late, fresh)
        assert (answer.accepted_count, answer.duplicate_count) == (2, 0)
        assert [(one.index, one.reason) for one in answer.rejected] == [
            (index, PERSON_ERASED) for index in (0, 1, 3, 4)
        ]
        assert rows(postgres_database, "SELECT count(*) FROM profile.event_hashes") == [(2,)], (
            "ids of refused ones are not kept"
        )


async def test_writers_and_an_erasure_at_once_leave_nothing_from_before(
    postgres_database: str,
    tmp_path: Path,
    now_us: int,  # noqa: F811
) -> None:
    async with serving(postgres_database, data=tmp_path) as channel:
        privacy = Privacy(channel)

        async def write() -> int:
            return (
                await privacy.write(view("tea", user_id="ann", visitor_id="v", at=now_us - SECOND_US))
            ).accepted_count

        writers = [asyncio.create_task(write()) for _ in range(60)]
        pending = await privacy.begin(user_id="ann")
        await privacy.erase_here(pending)
        await asyncio.gather(*writers)
        assert people_rows(postgres_database).keys() == {"erasure_requests", "erasure_stores", "tombstones"}


async def test_unfinished_erasures_are_handed_out_once_and_survive_a_restart(
    postgres_database: str, tmp_path: Path
) -> None:
    claim = register_pb.ClaimErasuresRequest(limit=10, lease_seconds=60)
    async with serving(postgres_database, data=tmp_path) as channel:
        privacy = Privacy(channel)
        pending = await privacy.begin(user_id="ann")
        assert not (await privacy.register.ClaimErasures(claim)).pending, "who began it works at it"
        rows_before = rows(postgres_database, "SELECT subject FROM profile.erasure_requests")
        assert b"ann" not in rows_before[0][0]
    rows(postgres_database, "UPDATE profile.erasure_requests SET lease_until = now() RETURNING 1")
    async with serving(postgres_database, data=tmp_path) as channel:
        privacy = Privacy(channel)
        both = await asyncio.gather(*(privacy.register.ClaimErasures(claim) for _ in range(2)))
        claimed = [one for answer in both for one in answer.pending]
        assert [(one.person.user_id, one.tenant) for one in claimed] == [("ann", pending.tenant)]


async def test_an_unknown_erasure_is_not_found(postgres_database: str, tmp_path: Path) -> None:
    async with serving(postgres_database, data=tmp_path) as channel:
        privacy = Privacy(channel)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await privacy.register.GetErasure(register_pb.GetErasureRequest(receipt_id=str(uuid.uuid4())))
    assert (raised.value.code(), reason_of(raised.value)) == (grpc.StatusCode.NOT_FOUND, "ERASURE_NOT_FOUND")


async def test_what_is_too_old_is_counted_then_removed(
    postgres_database: str,
    tmp_path: Path,
    now_us: int,  # noqa: F811
) -> None:
    aged = {"data": tmp_path, "keep_events_days": 0, "retention_every_seconds": 3600}
    async with serving(postgres_database, **aged) as channel:
        privacy = Privacy(channel)
        await privacy.write(
            purchase("milk", user_id="old", visitor_id="v-old", at=now_us - 500 * DAY_US),
            purchase("milk", user_id="both", at=now_us - 500 * DAY_US),
            purchase("tea", user_id="both", at=now_us - DAY_US),
        )
    async with serving(postgres_database, **{**aged, "keep_events_days": 400}) as channel:
        privacy = Privacy(channel)
        too_old = await privacy.write(purchase("milk", user_id="x", at=now_us - 401 * DAY_US))
        assert too_old.rejected[0].reason == error_reason_pb2.ERROR_REASON_EVENT_TIME_OUT_OF_RANGE
        async with asyncio.timeout(20):  # the background does it by itself
            while rows(postgres_database, "SELECT count(*) FROM profile.people") != [(1,)]:
                await asyncio.sleep(0.05)
        state = await privacy.profile.GetEventState(profile_pb.GetEventStateRequest())
        assert (state.event_count, state.user_count) == (1, 1)
        assert rows(postgres_database, "SELECT event_count, purchase_count FROM profile.people") == [(1, 1)]
        assert rows(postgres_database, "SELECT count(*) FROM profile.visitors") == [(0,)]


async def test_a_dry_run_changes_nothing(postgres_database: str, tmp_path: Path, now_us: int) -> None:  # noqa: F811
    async with serving(postgres_database, data=tmp_path, keep_events_days=0) as channel:
        await Privacy(channel).write(purchase("milk", user_id="old", at=now_us - 500 * DAY_US))
        rows(postgres_database, "UPDATE profile.people SET last_event_time = now() - interval '10 days' RETURNING 1")
    settings = {"data": tmp_path, "keep_events_days": 1000, "keep_quarantine_days": 7}
    async with serving(postgres_database, **settings) as channel:
        answer = await Privacy(channel).data.ApplyRetention(pb.ApplyRetentionRequest(dry_run=True))
        found = {one.kind: (one.days, one.row_count) for one in answer.results}
        assert found == {
            "events": (1000, 0),
            "people": (1000, 0),
            "quarantine": (7, 0),
            "receipts": (1825, 0),
            "tombstones": (760, 0),
        }
        assert rows(postgres_database, "SELECT count(*) FROM profile.events") == [(1,)]
