"""One fault, from healthy to healthy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import grpc

from services.cli.errors import CliError
from services.cli.faults.answers import Answer, Outcome, Summary, summarize
from services.cli.faults.filling import indexed, until
from services.cli.faults.ledger import Audit, audit
from services.cli.faults.place import Place
from services.cli.faults.traffic import Traffic

HEALTHY_SECONDS, QUIET_SECONDS, PATIENCE_SECONDS = 3.0, 3.0, 120.0
READS = ("recommend", "similar", "search")
WRITES = ("write events", "update offer", "import")
KINDS = (*READS, "ask", *WRITES)
LATEST_CHANGES = 15
"""Products that the traffic changes within two seconds."""


Injection = Callable[[Place, Traffic], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is broken. The block of `inject` holds the fault; leaving it removes it."""

    name: str
    how: str
    inject: Injection
    seconds: float
    """How long it stays; 0: it is over at once, as a kill is."""


@dataclass(frozen=True, slots=True)
class Row:
    """What callers saw of one fault, and what was left behind."""

    fault: str
    how: str
    seconds: float
    kinds: dict[str, Summary]
    recovered_seconds: float | None
    """From the end of the fault to the last request that was not answered in full; None: not within the patience."""
    index_seconds: float | None
    """From the end of the fault until no change waited for the index."""
    audit: Audit
    problem: str = ""


async def measure(fault: Fault, place: Place, traffic: Traffic) -> Row:
    """Injects and removes the fault under traffic, waits for recovery, holds stores against the books."""
    traffic.answers.clear()
    problem = ""
    async with traffic.flowing():
        await asyncio.sleep(HEALTHY_SECONDS)
        began = time.monotonic()
        try:
            async with fault.inject(place, traffic):
                await asyncio.sleep(fault.seconds)
        except CliError as error:
            problem = str(error)
        over = time.monotonic() if fault.seconds else began
        recovered, caught_up = await _recovery(traffic, over)
    try:
        await place.serving()
        await until(lambda: indexed(traffic.streams), "the index did not catch up")
    except TimeoutError:
        problem = problem or "a process does not serve"
    except CliError as error:
        problem = problem or str(error)
    during = [answer for answer in traffic.answers if answer.began >= began - HEALTHY_SECONDS]
    return Row(
        fault=fault.name,
        how=fault.how,
        seconds=fault.seconds,
        kinds={kind: summarize([one for one in during if one.kind == kind]) for kind in KINDS},
        recovered_seconds=recovered,
        index_seconds=caught_up,
        audit=await audit(traffic.ledger, place.dsn, place.milvus_uri, place.keys),
        problem=problem,
    )


async def _recovery(traffic: Traffic, over: float) -> tuple[float | None, float | None]:
    """Waits until all kinds have been answered in full for a while and the index has caught up."""
    caught_up: float | None = None
    while (now := time.monotonic()) - over < PATIENCE_SECONDS:
        await asyncio.sleep(0.25)
        if caught_up is None and await _caught_up(traffic):
            caught_up = time.monotonic() - over
        worst = last_bad(traffic.answers, over)
        if caught_up is not None and now - max(worst, over) > QUIET_SECONDS and _all_answer(traffic.answers, now):
            return max(0.0, worst - over), caught_up
    return None, caught_up


def last_bad(answers: list[Answer], since: float) -> float:
    """When the last request began that was not answered in full; `since` if none did after it."""
    return max((one.began for one in answers if one.outcome is not Outcome.FULL), default=since)


def _all_answer(answers: list[Answer], now: float) -> bool:
    good = {one.kind for one in answers if one.outcome is Outcome.FULL and one.began > now - QUIET_SECONDS}
    return good >= set(KINDS)


async def _caught_up(traffic: Traffic) -> bool:
    """Whether no changes but the latest wait for the index: they go on coming."""
    try:
        return await indexed(traffic.streams, LATEST_CHANGES)
    except grpc.aio.AioRpcError:
        return False
