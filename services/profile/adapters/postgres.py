"""What the PostgreSQL adapters share: connections by pool, and running a transaction again that lost a race."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from psycopg import AsyncConnection, errors
from psycopg_pool import AsyncConnectionPool

from services.profile.errors import ConcurrentChange
from shared.errors.base import Unavailable
from shared.telemetry.metrics import counter

T = TypeVar("T")
Connection = AsyncConnection[Any]
Pool = AsyncConnectionPool[Any]

RETRIES = counter("profile_transaction_retries_total", "Transactions run again after losing a race.", ("operation",))
_ATTEMPTS = 6
_PAUSE_SECONDS = 0.02
_LOST = (errors.DeadlockDetected, errors.SerializationFailure, ConcurrentChange)


async def retried(operation: str, attempt: Callable[[int], Awaitable[T]]) -> T:
    """Runs ``attempt(number)``, a whole transaction, until it wins; raises Unavailable after ``_ATTEMPTS``."""
    for number in range(_ATTEMPTS):
        try:
            return await attempt(number)
        except _LOST:
            RETRIES.labels(operation).inc()
            # Those who met each other must not meet again at the same moment.
            await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS * number))  # noqa: S311 - no secret
    raise Unavailable("postgres", metadata={"operation": operation})


@asynccontextmanager
async def autocommit(pool: Pool) -> AsyncIterator[Connection]:
    """A connection for a single statement: spares the round trips of BEGIN and COMMIT."""
    async with pool.connection() as connection:
        await connection.set_autocommit(True)
        try:
            yield connection
        finally:
            if not connection.closed:
                await connection.set_autocommit(False)
