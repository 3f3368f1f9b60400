"""Closed-loop load: a number of callers, each sending its next request when the one before is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Call = Callable[[int], Awaitable[object]]
"""Sends request number n and returns when it is answered; raises when it failed."""

AFTER_ERROR_SECONDS = 0.02
"""A caller that was refused pauses, as real ones do; otherwise refusals would take the machine."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run. Latencies in milliseconds, as the caller sees them."""

    in_flight: int
    requests: int
    errors: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Answered requests a second."""
        return (self.requests - self.errors) / self.seconds


async def run_load(call: Call, *, in_flight: int, seconds: float, first: int = 0, warm_up: int = 20) -> Measured:
    """Runs `call` for `seconds` after `warm_up` requests; a failed request is an error without a time.

    Requests are numbered from `first`.
    """
    for number in range(first, first + warm_up):
        await _timed(call, number)
    latencies: list[float] = []
    errors = 0
    counter = first + warm_up
    start = time.perf_counter()

    async def caller() -> None:
        nonlocal counter, errors
        while time.perf_counter() - start < seconds:
            counter += 1
            took = await _timed(call, counter)
            if took is None:
                errors += 1
                await asyncio.sleep(AFTER_ERROR_SECONDS)
            else:
                latencies.append(took)

    await asyncio.gather(*(caller() for _ in range(in_flight)))
    elapsed = time.perf_counter() - start
    latencies.sort()
    return Measured(
        in_flight,
        len(latencies) + errors,
        errors,
        elapsed,
        _quantile(latencies, 0.5) * 1000,
        _quantile(latencies, 0.99) * 1000,
    )


async def _timed(call: Call, number: int) -> float | None:
    began = time.perf_counter()
    try:
        await call(number)
    except Exception:
        return None
    return time.perf_counter() - began


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
