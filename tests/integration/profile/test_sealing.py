"""Ids and contents are sealed: rows from before, rotations, and what is left on the disk of somebody who was erased."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from mercato.privacy.v1 import personal_keys_service_pb2 as keys_pb
from mercato.privacy.v1.personal_keys_service_pb2_grpc import PersonalKeysServiceStub
from mercato.profile.v1 import profile_service_pb2 as pb
from mercato.profile.v1.profile_service_pb2_grpc import ProfileServiceStub

from services.profile.domain.event import DAY_US, SECOND_US, Event
from services.profile.errors import WrongRing
from services.profile.sealing import Sealing
from shared.privacy.key_ring import KeyRing
from tests.fakes.profile.events import purchase, view
from tests.integration.profile.test_service import now_us, request, rows, serving  # noqa: F401

PERSONAL = {
    "user_id": "ann@example.org",
    "visitor_id": "visitor-of-ann",
    "session_id": "session-of-ann",
    "search_query": "query-of-ann",
    "locale": "de-AT-ann",
    "attributes": (("address", "street-of-ann"),),
}
TABLES = ("people", "visitors", "events", "quarantine", "event_keys", "event_hashes", "person_keys", "erasure_requests")


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.profile.sealing.SETTLE_SECONDS", 0.0)


def events(now: int) -> list[Event]:
    return [
        view("milk", at=now - 5 * SECOND_US, event_id="event-of-ann", **PERSONAL),
        purchase(
            "tea", at=now - DAY_US, event_id="order-of-ann", transaction_id="bill-of-ann", user_id="ann@example.org"
        ),
    ]


def in_clear(dsn: str) -> str:
    """All rows as text, sealed columns in hexadecimal digits."""
    return repr([rows(dsn, f"SELECT t::text FROM profile.{table} t") for table in TABLES])


async def exported(stub: ProfileServiceStub, **ids: str) -> list[Any]:
    parts = [part async for part in stub.ExportUserData(pb.ExportUserDataRequest(**ids))]
    return [event for part in parts for event in part.events]


async def rotated(channel: grpc.aio.Channel) -> list[keys_pb.RotateKeysResponse]:
    return [step async for step in PersonalKeysServiceStub(channel).RotateKeys(keys_pb.RotateKeysRequest())]


async def test_nothing_personal_stands_in_clear(postgres_database: str, tmp_path: Path, now_us: int) -> None:  # noqa: F811
    async with serving(postgres_database, data=tmp_path) as channel:
        stub = ProfileServiceStub(channel)
        await stub.WriteUserEvents(request(events(now_us)))
        assert "ann" not in in_clear(postgres_database)
        found = await exported(stub, user_id="ann@example.org")
        assert found == list(request(sorted(events(now_us), key=lambda event: event.time_us)).events)


async def test_rows_from_before_are_read_and_sealed_in_the_background(
    postgres_database: str,
    tmp_path: Path,
    now_us: int,  # noqa: F811
) -> None:
    async with serving(postgres_database, data=tmp_path) as channel:
        await ProfileServiceStub(channel).WriteUserEvents(request(events(now_us)))
        before = await exported(ProfileServiceStub(channel), visitor_id="visitor-of-ann")
    _unseal(postgres_database, now_us)
    assert "ann@example.org" in in_clear(postgres_database)
    async with serving(postgres_database, data=tmp_path) as channel:
        stub = ProfileServiceStub(channel)
        assert await exported(stub, user_id="ann@example.org") == before, "also while it is being sealed"
        again = await stub.WriteUserEvents(request(events(now_us)))
        assert (again.accepted_count, again.duplicate_count) == (0, 2)
        async with asyncio.timeout(20):
            while "ann" in in_clear(postgres_database):
                await asyncio.sleep(0.05)
        assert await exported(stub, user_id="ann@example.org") == before
        again = await stub.WriteUserEvents(request(events(now_us)))
        assert (again.accepted_count, again.duplicate_count) == (0, 2)
        erased = await stub.EraseUserData(pb.EraseUserDataRequest(user_id="ann@example.org"))
        assert erased.erased_event_count == 2
        assert not rows(postgres_database, "SELECT 1 FROM profile.event_hashes")


async def test_a_rotation_goes_on_beside_writers_and_ends_with_one_key(
    postgres_database: str,
    tmp_path: Path,
    now_us: int,  # noqa: F811
) -> None:
    async with serving(postgres_database, data=tmp_path) as channel:
        stub = ProfileServiceStub(channel)
        await stub.WriteUserEvents(request(events(now_us)))

        async def write(number: int) -> None:
            for turn in range(20):
                item = view("tea", user_id=f"u-{number}", visitor_id=f"v-{turn}", at=now_us - turn * SECOND_US)
                assert (await stub.WriteUserEvents(request([item]))).accepted_count == 1

        steps, *_ = await asyncio.gather(rotated(channel), *(write(number) for number in range(4)))
        assert steps[-1].step == "done"
        assert sum(step.step == "sealing anew" for step in steps) >= 3
        ring = KeyRing(tmp_path / "keys" / "personal.json")
        assert ring.numbers == (2,)
        for number in range(4):
            assert len(await exported(stub, user_id=f"u-{number}")) == 20
        assert len(await exported(stub, user_id="ann@example.org")) == 2


async def test_a_ring_that_somebody_else_keeps_is_not_changed(
    postgres_database: str,
    tmp_path: Path,
    now_us: int,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Sealing, "_add_key", lambda self: False)
    async with serving(postgres_database, data=tmp_path) as channel:
        await ProfileServiceStub(channel).WriteUserEvents(request(events(now_us)))
        keeper = KeyRing(tmp_path / "keys" / "personal.json")
        keeper.add_key()
        async with asyncio.timeout(20):  # every process finds the new key by itself
            while True:
                await rotated(channel)
                if not rows(postgres_database, "SELECT 1 FROM profile.person_keys WHERE get_byte(sealed_key, 4) <> 2"):
                    break
                await asyncio.sleep(0.2)
        assert keeper.numbers == (1, 2), "its keeper removes the old one"
        keeper.destroy_keys_before(2)
        assert len(await exported(ProfileServiceStub(channel), user_id="ann@example.org")) == 2


async def test_two_rotations_at_once_are_one(postgres_database: str, tmp_path: Path) -> None:
    async with serving(postgres_database, data=tmp_path) as channel:
        with psycopg.connect(postgres_database, autocommit=True) as other:
            other.execute("SELECT pg_advisory_lock(hashtextextended('profile key rotation', 0))")
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await rotated(channel)
    assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_process_with_other_keys_does_not_start(postgres_database: str, tmp_path: Path) -> None:
    async with serving(postgres_database, data=tmp_path / "first"):
        pass
    with pytest.raises(WrongRing, match="MERCATO_PROFILE_PERSONAL_KEYS"):
        async with serving(postgres_database, data=tmp_path / "second"):
            pass
    async with serving(postgres_database, data=tmp_path / "first") as channel:
        assert (await rotated(channel))[-1].step == "done"
    async with serving(postgres_database, data=tmp_path / "first"):
        pass


def _unseal(dsn: str, now: int) -> None:
    """Brings the rows into the form that earlier releases wrote."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "UPDATE profile.people SET user_id = 'ann@example.org', user_hash = NULL, user_sealed = NULL"
        )
        connection.execute(
            "UPDATE profile.visitors SET visitor_id = 'visitor-of-ann', visitor_hash = NULL, visitor_sealed = NULL"
        )
        for event in events(now):
            connection.execute(
                "UPDATE profile.events SET event_id = %s, session_id = nullif(%s, ''), transaction_id = nullif(%s, ''), search_query"
                " = nullif(%s, ''), locale = nullif(%s, ''), attributes = %s::jsonb, event_hash = NULL, key_no = NULL, content = NULL"
                " WHERE event_type = %s",
                (
                    event.event_id,
                    event.session_id,
                    event.transaction_id,
                    event.search_query,
                    event.locale,
                    '[["address", "street-of-ann"]]' if event.attributes else None,
                    event.event_type,
                ),
            )
            connection.execute("INSERT INTO profile.event_keys VALUES ('default', %s)", (event.event_id,))
        connection.execute("DELETE FROM profile.event_hashes")
        connection.execute("DELETE FROM profile.person_keys")
