"""One person is exported and erased in every store, also while a store is down; the receipt holds."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import signal
import time
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path

import grpc
import psycopg
import pytest
from mercato.errors.v1 import error_reason_pb2
from mercato.gateway.v1 import privacy_service_pb2 as pb
from mercato.gateway.v1 import user_event_pb2, user_event_service_pb2
from mercato.gateway.v1.privacy_service_pb2_grpc import PrivacyServiceStub

from services.cli.__main__ import run as mercato
from shared.privacy.key_ring import KeyRing, Unsealable
from shared.privacy.receipt import verify
from tests.e2e.conftest import Running
from tests.e2e.shop import Shop, purchase, until

PERSON_COLUMNS = [
    (table, "person_no") for table in ("events", "quarantine", "people", "visitors", "visitor_joins", "person_keys")
]
DONE, PENDING = pb.ERASURE_STATE_DONE, pb.ERASURE_STATE_PENDING


async def erase(shop: Shop, user_id: str) -> pb.Erasure:
    request = user_event_service_pb2.EraseUserDataRequest(user_id=user_id)
    answer: user_event_service_pb2.EraseUserDataResponse = await shop.call(
        shop.events.EraseUserData, request, timeout=10
    )
    return answer.erasure


def events_erased(erasure: pb.Erasure) -> int:
    return sum(store.row_counts.get("events", 0) for store in erasure.stores)


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
        assert states == {"gateway": DONE, "profile": DONE, "trainer": PENDING}
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
    assert events_erased(await erase(shop, "ann")) == 1
    again = await erase(shop, "ann")
    assert (again.state, events_erased(again)) == (DONE, 0)
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


MARKS = {
    "user_id": "grepme-user-7f3a",
    "visitor_id": "grepme-visitor-7f3a",
    "session_id": "grepme-session-7f3a",
    "search_query": "grepme query 7f3a",
    "event_id": "grepme-event-7f3a",
    "transaction_id": "grepme-bill-7f3a",
    "attribute": "grepme street 7f3a",
}
"""What stands in the events of the person who is erased; found in a raw file, it is a leak."""


def marked_events() -> list[user_event_pb2.UserEvent]:
    common = {"user_id": MARKS["user_id"], "visitor_id": MARKS["visitor_id"], "session_id": MARKS["session_id"]}
    made = []
    for number in range(40):
        event = purchase(f"{MARKS['event_id']}-{number}", "", ["dairy-0", "coffee-0"], number + 1)
        event.MergeFrom(user_event_pb2.UserEvent(**common, search_query=MARKS["search_query"]))
        event.purchase.transaction_id = f"{MARKS['transaction_id']}-{number}"
        event.attributes.add(name="address", value=MARKS["attribute"])
        made.append(event)
    return made


def files_with(folder: Path, words: Iterable[bytes]) -> dict[str, list[bytes]]:
    """Every file below a folder that holds one of the words, also in UTF-16, base64 or hexadecimal digits."""
    forms = {form: word for word in words for form in (word, word.decode().encode("utf-16-le"), word.hex().encode())}
    found: dict[str, list[bytes]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if hits := sorted({word for form, word in forms.items() if form in content}):
                found[str(path.relative_to(folder))] = hits
    return found


async def test_nothing_of_an_erased_person_is_left_in_any_file(running: Running, shop: Shop) -> None:
    await shop.filled()
    await shop.write(marked_events())
    await shop.recommend(MARKS["user_id"])
    await shop.search("milk", user_id=MARKS["user_id"], visitor_id=MARKS["visitor_id"])
    assert len([event for part in await exported(shop, MARKS["user_id"]) for event in part.events]) == 40
    await shop.train()
    privacy = PrivacyServiceStub(shop.channel)
    ring = running.data / "keys" / "personal.json"
    with psycopg.connect(running.suite.suite.environment["MERCATO_POSTGRES_DSN"], autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        number = "SELECT person_no FROM profile.people WHERE tenant_id = %s AND user_hash = %s"
        hashed = KeyRing(ring).hash(shop.tenant, "user", MARKS["user_id"])
        (person_no,) = connection.execute(number, (shop.tenant, hashed)).fetchone() or (0,)
        row = connection.execute(
            "SELECT e.content, k.sealed_key, p.user_sealed FROM profile.events e JOIN profile.person_keys k USING (tenant_id, key_no)"
            " JOIN profile.people p ON p.tenant_id = e.tenant_id AND p.person_no = e.person_no WHERE e.person_no = %s LIMIT 1",
            (person_no,),
        ).fetchone()
        assert row is not None
    copied_ring = KeyRing(Path(shutil.copy(ring, running.data.parent / "stolen.json")))
    assert copied_ring.open(row[2], f"user\0{shop.tenant}".encode()) == MARKS["user_id"].encode()

    erasure = await erase(shop, MARKS["user_id"])
    assert erasure.state == DONE, erasure
    steps = [step async for step in privacy.RotateKeys(pb.RotateKeysRequest(), metadata=shop.metadata)]
    assert steps[-1].step == "done"

    # Whoever has the disk as it is now, dead rows and the database's log included, and every key that is left:
    now = KeyRing(ring)
    for sealed, place in ((row[1], f"person key\0{shop.tenant}"), (row[2], f"user\0{shop.tenant}")):
        with pytest.raises(Unsealable):
            now.open(sealed, place.encode())
    # No file holds anything in clear: it never did.
    with psycopg.connect(running.suite.suite.environment["MERCATO_POSTGRES_DSN"], autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    words = [text.encode() for text in MARKS.values()]
    assert files_with(running.data, words) == {}
    control = files_with(running.data / "postgres", [b"Whole milk"])
    assert control, "the search finds what is there: the catalogue is in clear"
    # Live tables hold nothing of the person, also not sealed.
    with psycopg.connect(running.suite.suite.environment["MERCATO_POSTGRES_DSN"]) as connection:
        for table, column in PERSON_COLUMNS:
            query = f"SELECT count(*) FROM profile.{table} WHERE {column} = %s"
            assert connection.execute(query, (person_no,)).fetchone() == (0,), table


async def test_the_commands_export_erase_and_verify(running: Running, shop: Shop, tmp_path: Path) -> None:
    await shop.write([purchase("e-1", "ann", ["dairy-0"], 1)])
    common = ["--address", running.address, "--tenant", shop.tenant]
    lines, receipt, key = tmp_path / "ann.jsonl", tmp_path / "ann.jws", tmp_path / "shop.jwk"

    def command(*arguments: str) -> tuple[int, str]:
        said = io.StringIO()
        with redirect_stdout(said):
            return mercato([*common, "privacy", *arguments]), said.getvalue()

    assert (await asyncio.to_thread(command, "export", "--user", "ann", "--output", str(lines)))[0] == 0
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [(one["store"], one["kind"]) for one in records] == [("profile", "event"), ("profile", "derived_profile")]
    assert records[0]["content"]["eventId"] == "e-1"
    erased, said = await asyncio.to_thread(command, "erase", "--user", "ann", "--yes", "--output", str(receipt))
    assert (erased, "done, receipt signed" in said) == (0, True), said
    status, text = await asyncio.to_thread(command, "public-key")
    key.write_text(text)
    assert status == 0
    status, text = await asyncio.to_thread(command, "verify-receipt", str(receipt), "--public-key", str(key))
    assert (status, json.loads(text)["tenant"]) == (0, shop.tenant)
    receipt.write_text(receipt.read_text().replace(".", ".A", 1))
    assert (await asyncio.to_thread(command, "verify-receipt", str(receipt), "--public-key", str(key)))[0] == 1
    assert (await asyncio.to_thread(command, "retention"))[0] == 0
