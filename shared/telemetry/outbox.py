"""How far an index is behind its change feed (transactional outbox)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shared.errors.base import MercatoError
from shared.telemetry.metrics import LAG_BUCKETS, gauge, histogram

EVERY_SECONDS = 5.0
WAITING = gauge("outbox_changes", "Changes that wait for the index, over all tenants.", ("outbox",))
OLDEST = gauge("outbox_oldest_seconds", "Age of the oldest change that waits; 0 when none does.", ("outbox",))
LAG = histogram("outbox_lag_seconds", "From a committed change to its place in the index.", ("outbox",), LAG_BUCKETS)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in a feed."""

    changes: int
    oldest_age_s: float


async def watch_backlog(outbox: str, read: Callable[[], Awaitable[Backlog]], seconds: float = EVERY_SECONDS) -> None:
    """Reads the backlog until cancelled; while it cannot be read, the oldest change grows older."""
    waiting, oldest = WAITING.labels(outbox), OLDEST.labels(outbox)
    age = 0.0
    while True:
        try:
            backlog = await read()
            age = backlog.oldest_age_s
            waiting.set(backlog.changes)
        except MercatoError:
            age += seconds if age else 0.0
        oldest.set(age)
        await asyncio.sleep(seconds)
