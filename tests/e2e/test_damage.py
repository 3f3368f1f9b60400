"""What is damaged or hangs is not used: the release that nobody can read, the database that does not answer."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import psycopg
import pytest
from mercato.gateway.v1 import operations_service_pb2 as pb
from mercato.gateway.v1 import recommendation_service_pb2, user_event_service_pb2

from services.cli.faults.place import descendants
from tests.e2e.conftest import Running
from tests.e2e.shop import Shop, purchase, until
from tests.e2e.test_degradation import whole
from tests.e2e.test_faults import Killer

HANGS_SECONDS = 5.0
DEADLINE_SECONDS = 2.5
DAMAGE = """
UPDATE trainer.blob_chunks
SET content = set_byte(content, length(content) / 2, 255 - get_byte(content, length(content) / 2))
WHERE tenant_id = %(tenant)s
AND sha256 IN (SELECT sha256 FROM trainer.artifacts WHERE tenant_id = %(tenant)s AND release_id = %(bad)s
               EXCEPT SELECT sha256 FROM trainer.artifacts WHERE tenant_id = %(tenant)s AND release_id = %(good)s)
"""


async def test_a_damaged_release_is_refused_and_the_one_before_goes_on_also_after_a_restart(
    running: Running, shop: Shop
) -> None:
    await shop.filled()
    good = (await shop.recommend("user-1")).release_id
    await shop.write([purchase("one-more", "user-1", ["dairy-1"], 0.1)])
    request = pb.TrainRequest(kind=pb.TRAINING_KIND_TABLES, keep_current=True)
    bad = [step async for step in shop.operations.Train(request, metadata=shop.metadata)][-1].release.release_id
    async with await psycopg.AsyncConnection.connect(running.suite.suite.environment["MERCATO_POSTGRES_DSN"]) as open_:
        done = await open_.execute(DAMAGE, {"tenant": shop.tenant, "good": good, "bad": bad})
        assert done.rowcount > 0
    await shop.call(shop.operations.PromoteRelease, pb.PromoteReleaseRequest(release_id=bad))
    killers = [Killer(running, unit) for unit in ("retrieval", "ranking", "gateway")]
    for _ in range(10):
        answer = await shop.recommend("user-1")
        assert (answer.release_id, list(answer.missing_stages)) == (good, [])
    for killer in killers:
        killer.kill()
    for killer in killers:
        await killer.back()

    async def answers_by_the_one_before() -> bool:
        found = await shop.recommend("user-1")
        assert found.release_id != bad
        return found.release_id == good and not found.missing_stages

    await until(answers_by_the_one_before)
    await shop.call(shop.operations.PromoteRelease, pb.PromoteReleaseRequest(release_id=good))


@pytest.mark.parametrize("unit", ["postgres", "milvus"])
async def test_shoppers_are_answered_in_time_while_a_store_hangs_and_no_event_is_lost(
    running: Running, shop: Shop, unit: str
) -> None:
    await shop.filled()
    before = (await shop.status()).event_count
    events = [purchase(f"hang-{number}", f"user-{number % 8}", ["dairy-0"], 0.1) for number in range(20)]
    pid = running.suite.suite.unit(unit).pid
    assert pid is not None
    processes = [pid, *descendants(pid)]

    async def write() -> bool:
        request = user_event_service_pb2.WriteUserEventsRequest(events=events)
        answer = await shop.call(shop.events.WriteUserEvents, request, timeout=DEADLINE_SECONDS)
        return bool(answer.accepted_count + answer.duplicate_count == len(events))

    for one in processes:
        os.kill(one, signal.SIGSTOP)
    try:
        writing = asyncio.create_task(until(write, 60))
        end = time.monotonic() + HANGS_SECONDS
        while time.monotonic() < end:
            request = recommendation_service_pb2.RecommendRequest(user_id="user-1", page_size=5)
            answer = await shop.call(shop.recommendations.Recommend, request, timeout=DEADLINE_SECONDS)
            assert answer.results
    finally:
        for one in processes:
            os.kill(one, signal.SIGCONT)
    await writing
    await until(lambda: whole(shop), 90)

    async def counted() -> bool:
        return (await shop.status()).event_count == before + len(events)

    await until(counted)
    assert running.suite.suite.unit(unit).pid == pid, "it was not restarted"
