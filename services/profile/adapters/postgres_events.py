"""Events in PostgreSQL: one transaction a batch."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import errors

from services.profile.adapters.batch import Batch, BatchParts
from services.profile.adapters.postgres import Pool, retried
from services.profile.adapters.product_numbers import Partitions, ProductNumbers
from services.profile.domain.event import Event, Outcome
from services.profile.errors import ConcurrentChange
from services.profile.ports import EventState, EventStore
from shared.postgres.queries import load_queries

_SQL = load_queries("services.profile.adapters", "write.sql")
_FEW = 64
"""Up to so many events lock their visitors exclusively at once, which spares logins a second transaction."""


class PostgresEventStore(EventStore):
    """The tables ``events``, ``event_keys``, ``quarantine``, ``people`` and ``visitors``."""

    def __init__(self, pool: Pool, products: ProductNumbers, partitions: Partitions, parts: BatchParts) -> None:
        self._pool = pool
        self._products = products
        self._partitions = partitions
        self._parts = parts

    async def write(self, tenant: str, events: Sequence[Event]) -> list[Outcome]:
        products = await self._products.numbers(tenant, {item for event in events for item in event.product_ids})
        logins = any(event.user_id and event.visitor_id for event in events)

        async def attempt(number: int) -> list[Outcome]:
            await self._partitions.ensure([event.time_us for event in events])
            exclusive = logins and (number > 0 or len(events) <= _FEW)
            try:
                async with self._pool.connection() as connection:
                    batch = Batch(connection, tenant, products, self._parts, exclusive=exclusive)
                    return await batch.write(events)
            except errors.CheckViolation as error:  # no partition: dropped since it was seen
                self._partitions.forget()
                raise ConcurrentChange("a partition is gone") from error

        return await retried("write", attempt)

    async def state(self, tenant: str) -> EventState:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL.state, {"tenant": tenant})
            row = await cursor.fetchone()
        assert row is not None, "a query of scalars has one row"
        return EventState(*row)
