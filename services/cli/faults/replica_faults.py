"""Half of the replicas of all services that have two gone, or hanging."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.cli.errors import CliError
from services.cli.faults.measure import Fault
from services.cli.faults.place import Place
from services.cli.faults.replicas import Replicas
from services.cli.faults.traffic import Traffic

GONE_SECONDS, PAUSED_SECONDS = 15.0, 10.0


def replica_faults() -> list[Fault]:
    """On a place with two replicas of all services but the trainer."""
    return [
        Fault(
            "half of the replicas gone",
            f"SIGKILL of one of two processes of seven services, started again after {GONE_SECONDS:g} s",
            _gone,
            GONE_SECONDS,
        ),
        Fault(
            "half of the replicas paused",
            f"SIGSTOP of one of two processes of seven services, SIGCONT after {PAUSED_SECONDS:g} s",
            _paused,
            PAUSED_SECONDS,
        ),
    ]


@asynccontextmanager
async def _gone(place: Place, traffic: Traffic) -> AsyncIterator[None]:
    replicas = _of(place)
    await asyncio.gather(*(one.kill() for one in replicas.second()))
    try:
        yield
    finally:
        await replicas.started()


@asynccontextmanager
async def _paused(place: Place, traffic: Traffic) -> AsyncIterator[None]:
    pids = [one.running.pid for one in _of(place).second() if one.running is not None]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _of(place: Place) -> Replicas:
    if place.replicas is None:
        raise CliError("this place has one process of each service")
    return place.replicas
