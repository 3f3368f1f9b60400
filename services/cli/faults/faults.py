"""Faults of processes and networks: everything killed, paused, slow and cut."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.cli.faults.measure import Fault, Injection
from services.cli.faults.place import Place
from services.cli.faults.traffic import Traffic
from services.supervisor.services import BACKING, SERVICES

PAUSED_SECONDS, SLOW_SECONDS, SLOW_BY_SECONDS = 10.0, 15.0, 5.0
CUT_SECONDS, CUTS = 5.0, 5


def process_faults() -> list[Fault]:
    """Every process killed, and every process paused."""
    units = (*SERVICES, *BACKING)
    kills = [Fault(f"{unit} killed", "SIGKILL", _killed(unit), 0.0) for unit in units]
    pauses = [
        Fault(f"{unit} paused", f"SIGSTOP, SIGCONT after {PAUSED_SECONDS:g} s", _paused(unit), PAUSED_SECONDS)
        for unit in units
    ]
    return kills + pauses


def network_faults() -> list[Fault]:
    """Every backing system slow, and every connection cut while something runs on it."""
    how = f"proxy: {SLOW_BY_SECONDS:g} s later in both directions, for {SLOW_SECONDS:g} s"
    slow = [Fault(f"{unit} slow by {SLOW_BY_SECONDS:g} s", how, _slow(unit), SLOW_SECONDS) for unit in BACKING]
    cut = f"proxy: RST on every connection, {CUTS} times in {CUT_SECONDS:g} s"
    cuts = [Fault(f"connections to {unit} reset", cut, _cut(unit), 0.01) for unit in BACKING]
    clients = "the same; imports and answers to questions are streaming"
    cuts.append(Fault("connections to gateway reset", clients, _cut("gateway"), 0.01))
    return slow + cuts


def _killed(unit: str) -> Injection:
    @asynccontextmanager
    async def inject(place: Place, traffic: Traffic) -> AsyncIterator[None]:
        place.send(unit, signal.SIGKILL)
        yield

    return inject


def _paused(unit: str) -> Injection:
    @asynccontextmanager
    async def inject(place: Place, traffic: Traffic) -> AsyncIterator[None]:
        place.send(unit, signal.SIGSTOP)
        try:
            yield
        finally:
            place.send(unit, signal.SIGCONT)

    return inject


def _slow(unit: str) -> Injection:
    @asynccontextmanager
    async def inject(place: Place, traffic: Traffic) -> AsyncIterator[None]:
        place.proxies[unit].delay_seconds = SLOW_BY_SECONDS
        try:
            yield
        finally:
            place.proxies[unit].delay_seconds = 0.0

    return inject


def _cut(unit: str) -> Injection:
    @asynccontextmanager
    async def inject(place: Place, traffic: Traffic) -> AsyncIterator[None]:
        for _ in range(CUTS):
            place.proxies[unit].reset()
            await asyncio.sleep(CUT_SECONDS / CUTS)
        yield

    return inject
