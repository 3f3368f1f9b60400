"""The open load generator, the account of events and the line through memory."""

import asyncio
import os
from collections import Counter

import grpc
import numpy as np
import pytest
from grpc.aio import AioRpcError, Metadata

from services.cli.bench.load_report import phase_row
from services.cli.bench.memory import MemoryWatch
from services.cli.bench.mix import PARTS, draw
from services.cli.bench.open_load import run_open


def error(code: grpc.StatusCode) -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata())


def test_the_mix_follows_its_shares() -> None:
    counts = Counter(draw(np.random.default_rng(84), 20_000))
    assert sum(part.share for part in PARTS.values()) == pytest.approx(1.0)
    for name, part in PARTS.items():
        assert counts[name] / 20_000 == pytest.approx(part.share, rel=0.15)


async def test_requests_come_whether_or_not_others_are_answered() -> None:
    begun, leave = 0, asyncio.Event()

    async def hang(number: int) -> object:
        nonlocal begun
        begun += 1
        if begun == 100:
            leave.set()
        await leave.wait()
        return None

    phase = await run_open(dict.fromkeys(PARTS, hang), rate=2000.0, seconds=0.05, seed=84)
    assert begun == 100
    assert phase.goodput == pytest.approx(2000, rel=0.5)


async def test_refused_and_failed_requests_are_told_apart() -> None:
    async def call(number: int) -> object:
        match number % 4:
            case 0:
                raise error(grpc.StatusCode.RESOURCE_EXHAUSTED)
            case 1:
                raise error(grpc.StatusCode.UNAVAILABLE)
            case 2:
                raise TimeoutError
        return None

    phase = await run_open(dict.fromkeys(PARTS, call), rate=4000.0, seconds=0.05, seed=84)
    row = phase_row(1.0, phase)
    assert (row["shed"], row["failed"]) == (50, 100)
    failures: Counter[str] = Counter()
    for tally in phase.tallies.values():
        failures.update(tally.failed)
    assert failures == {"UNAVAILABLE": 50, "DEADLINE_EXCEEDED": 50}


async def test_memory_that_grows_shows_as_a_slope() -> None:
    watch = MemoryWatch({"this": os.getpid(), "gone": 2**22 + 1}, every_seconds=0.01)
    watching = asyncio.create_task(watch.run())
    kept = []
    async with asyncio.timeout(60):
        while (growth := watch.growth().get("this")) is None or growth.last_mb - growth.first_mb < 20:
            kept.append(np.ones(250_000))
            await asyncio.sleep(0.01)
    watching.cancel()
    assert growth.slope_mb_per_minute > 0
    assert "gone" not in watch.growth()
