"""Metrics that need more than a number."""

from __future__ import annotations

import asyncio

from prometheus_client import REGISTRY

from shared.errors.base import Unavailable
from shared.telemetry.event_loop import watch_event_loop
from shared.telemetry.metrics import CacheMeter, CurrentName
from shared.telemetry.outbox import Backlog, watch_backlog


def series(name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Samples of a metric by their labels."""
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_a_name_in_use_is_one_series_that_follows_the_changes() -> None:
    current = CurrentName("test_current_info", "For this test.", "release")
    for name in ("r1", "r2", "r2"):
        current.set(name)
    assert series("mercato_test_current_info") == {(("release", "r2"),): 1.0}
    current.set("")
    assert series("mercato_test_current_info") == {}


def test_a_cache_counts_hits_and_misses() -> None:
    CacheMeter("test_cache").count(hits=3, misses=1)
    found = series("mercato_cache_lookups_total")
    assert found[("cache", "test_cache"), ("outcome", "hit")] == 3
    assert found[("cache", "test_cache"), ("outcome", "miss")] == 1


async def test_a_backlog_that_cannot_be_read_grows_older() -> None:
    answers = [Backlog(3, 7.0)]
    third = asyncio.Event()
    reads = 0

    async def read() -> Backlog:
        nonlocal reads
        reads += 1
        if reads > 2:
            third.set()
        if answers:
            return answers.pop()
        raise Unavailable("postgres")

    task = asyncio.create_task(watch_backlog("test", read, 0.01))
    async with asyncio.timeout(10):
        await third.wait()
    task.cancel()
    assert series("mercato_outbox_changes")[(("outbox", "test"),)] == 3
    assert series("mercato_outbox_oldest_seconds")[(("outbox", "test"),)] > 7.0


async def test_the_wait_for_the_event_loop_is_measured() -> None:
    key = (("queue", "event_loop"),)
    before = series("mercato_queue_seconds_count").get(key, 0.0)
    task = asyncio.create_task(watch_event_loop())
    async with asyncio.timeout(10):
        while series("mercato_queue_seconds_count").get(key, 0.0) == before:
            await asyncio.sleep(0.05)
    task.cancel()
