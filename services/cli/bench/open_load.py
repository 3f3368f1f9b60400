"""Open load: requests come when they come, whether the ones before are answered or not (Poisson arrivals).

Latency counts from when a request was due, so that a generator that falls behind makes latencies longer, not fewer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc
import numpy as np

from services.cli.bench.load import Call
from services.cli.bench.mix import draw

_MOST_OPEN = 4000
_SHED = grpc.StatusCode.RESOURCE_EXHAUSTED


@dataclass(slots=True)
class Tally:
    """What became of the requests of one kind. Latencies in seconds."""

    accepted: list[float] = field(default_factory=list)
    shed: list[float] = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=dict)
    degraded: int = 0
    """Of the accepted: answers that name a stage that they had to do without."""

    def quantile_ms(self, share: float) -> float:
        """Of the accepted; 0 when there are none."""
        return float(np.quantile(self.accepted, share)) * 1000 if self.accepted else 0.0

    @property
    def failures(self) -> int:
        """Neither answered nor shed."""
        return sum(self.failed.values())


@dataclass(frozen=True, slots=True)
class Phase:
    """One run at one rate."""

    offered_per_second: float
    seconds: float
    tallies: Mapping[str, Tally]
    late_ms: float
    """99th percentile of how late the generator itself was."""

    @property
    def goodput(self) -> float:
        """Answered requests a second."""
        return sum(len(tally.accepted) for tally in self.tallies.values()) / self.seconds

    @property
    def shed(self) -> int:
        """Refused requests."""
        return sum(len(tally.shed) for tally in self.tallies.values())

    @property
    def degraded(self) -> int:
        """Answers without some stage."""
        return sum(tally.degraded for tally in self.tallies.values())

    @property
    def failures(self) -> int:
        """Requests that failed otherwise."""
        return sum(tally.failures for tally in self.tallies.values())


async def run_open(calls: Mapping[str, Call], rate: float, seconds: float, seed: int) -> Phase:
    """Sends ``rate`` requests a second of the mix for some seconds, and waits for the answers."""
    random = np.random.default_rng(seed)
    count = max(1, int(rate * seconds))
    due = np.cumsum(random.exponential(1 / rate, size=count))
    names = draw(random, count)
    tallies = {name: Tally() for name in calls}
    running: set[asyncio.Task[None]] = set()
    late: list[float] = []
    began = time.perf_counter()
    for number, (at, name) in enumerate(zip(due, names, strict=True)):
        pause = began + at - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        late.append(max(0.0, -pause))
        if len(running) >= _MOST_OPEN:
            _count(tallies[name].failed, "generator full")
            continue
        task = asyncio.create_task(_one(calls[name], seed * 1_000_000 + number, began + at, tallies[name]))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return Phase(rate, float(due[-1]), tallies, float(np.quantile(late, 0.99)) * 1000)


async def run_closed(calls: Mapping[str, Call], in_flight: int, seconds: float, seed: int) -> Phase:
    """The mix from ``in_flight`` callers without a pause: what the suite can do at most."""
    tallies = {name: Tally() for name in calls}
    began = time.perf_counter()

    async def caller(number: int) -> None:
        names = iter(draw(np.random.default_rng(seed + number), 100_000))
        for turn, name in enumerate(names):
            if time.perf_counter() - began > seconds:
                return
            shed = len(tallies[name].shed)
            await _one(calls[name], number * 1_000_000 + turn, time.perf_counter(), tallies[name])
            if len(tallies[name].shed) > shed:
                await asyncio.sleep(0.02)

    await asyncio.gather(*(caller(number) for number in range(in_flight)))
    return Phase(0.0, time.perf_counter() - began, tallies, 0.0)


async def _one(call: Call, number: int, due: float, tally: Tally) -> None:
    try:
        answer = await call(number)
    except grpc.aio.AioRpcError as error:
        if error.code() is _SHED:
            tally.shed.append(time.perf_counter() - due)
        else:
            _count(tally.failed, error.code().name)
    except TimeoutError:
        _count(tally.failed, "DEADLINE_EXCEEDED")
    else:
        tally.accepted.append(time.perf_counter() - due)
        tally.degraded += bool(getattr(answer, "missing_stages", ()))


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1
