"""When PostgreSQL counts as hanging."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import psycopg
import pytest

from shared.postgres import pulse as module
from shared.postgres.pulse import Pulse


class Server:
    def __init__(self) -> None:
        self.answers = False
        self.probes = 0

    async def probe(self) -> None:
        self.probes += 1
        if not self.answers:
            raise TimeoutError


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def pulse(monkeypatch: pytest.MonkeyPatch, server: Server) -> AsyncIterator[Pulse]:
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.02)
    monkeypatch.setattr(module, "PROBE_PAUSE_SECONDS", 0.001)
    made = Pulse(server.probe)
    yield made
    await made.close()


async def hang(pulse: Pulse) -> None:
    with pulse.statement():
        await asyncio.sleep(0.1)


async def answer(pulse: Pulse) -> None:
    with pulse.statement():
        pass


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_server_that_answers_nobody_is_left_alone_until_a_probe_is_answered(
    pulse: Pulse, server: Server
) -> None:
    await asyncio.gather(*(hang(pulse) for _ in range(5)))
    assert pulse.hangs, "answers that come late say nothing"
    await until(lambda: server.probes > 3)
    assert pulse.hangs
    server.answers = True
    await until(lambda: not pulse.hangs)
    await hang(pulse)
    assert not pulse.hangs, "failures are counted anew"


async def test_long_statements_beside_short_ones_are_no_failure(pulse: Pulse) -> None:
    for _ in range(3):
        await asyncio.gather(hang(pulse), hang(pulse))
        await answer(pulse)
    assert not pulse.hangs


async def test_a_refusal_is_an_answer(pulse: Pulse) -> None:
    await asyncio.gather(*(hang(pulse) for _ in range(4)))
    with pytest.raises(psycopg.errors.UniqueViolation), pulse.statement():
        raise psycopg.errors.UniqueViolation
    pulse.failed()
    assert not pulse.hangs


async def test_connections_that_nobody_gives_back_are_failures_too(pulse: Pulse) -> None:
    for _ in range(5):
        pulse.failed()
    assert pulse.hangs
