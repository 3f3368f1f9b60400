"""All events of a tenant for learning, streamed through a cursor on the server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from psycopg import AsyncServerCursor

from services.profile.adapters.event_details import Details
from services.profile.adapters.moments import MicrosecondsLoader, literal
from services.profile.adapters.postgres import Connection, Pool
from services.profile.adapters.pseudonyms import Pseudonyms
from services.profile.domain.event import SECOND_US, EventType
from services.profile.ports import EventChunk, EventQuery, EventStream
from shared.postgres.queries import load_queries

_SQL = load_queries("services.profile.adapters", "read.sql")
_FETCH = 2_000
"""Events fetched at once."""
_FIRST, _LAST = "-infinity", "infinity"
_BASIC_COLUMNS = 5
_Row = tuple[Any, ...]
"""Time, type, person, products, quantities, and what ``Details`` reads."""


class PostgresEventStream(EventStream):
    """Reads ``profile.events`` from one snapshot."""

    def __init__(self, pool: Pool, pseudonym_key: bytes) -> None:
        self._pool = pool
        self._key = pseudonym_key

    async def read(self, tenant: str, query: EventQuery) -> AsyncGenerator[EventChunk, None]:
        arguments = {
            "tenant": tenant,
            "start": _FIRST if query.start_us is None else literal(query.start_us),
            "end": _LAST if query.end_us is None else literal(query.end_us),
            "event_types": list(query.event_types) or [int(kind) for kind in EventType],
        }
        pseudonyms = Pseudonyms(self._key, tenant)
        async with self._pool.connection() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            await connection.execute("SET LOCAL statement_timeout = 0")
            cursor = await connection.execute(_SQL.count_rows, arguments)
            row = await cursor.fetchone()
            total = row[0] if row else 0
            details = Details(tenant, pseudonyms) if query.details else None
            columns = _Columns(connection, tenant, pseudonyms, details, total)
            empty = True
            async for batch in _batches(connection, arguments, query):
                empty = False
                yield await columns.chunk(batch)
            if empty:
                yield await columns.chunk([])


async def _batches(connection: Connection, arguments: dict[str, Any], query: EventQuery) -> AsyncIterator[list[_Row]]:
    """Events in groups of at most ``chunk_rows`` rows; an event with more is a group of its own."""
    statement = _SQL.stream_detailed_rows if query.details else _SQL.stream_rows
    batch: list[_Row] = []
    rows = 0
    async with AsyncServerCursor(connection, "profile_stream") as cursor:
        cursor.adapters.register_loader("timestamptz", MicrosecondsLoader)
        await cursor.execute(statement, arguments, binary=True)
        while fetched := await cursor.fetchmany(_FETCH):
            for event in fetched:
                size = len(event[3])
                if batch and rows + size > query.chunk_rows:
                    yield batch
                    batch, rows = [], 0
                batch.append(event)
                rows += size
    if batch:
        yield batch


class _Columns:
    """Makes chunks; keeps what later chunks need again."""

    def __init__(
        self, connection: Connection, tenant: str, pseudonyms: Pseudonyms, details: Details | None, total_rows: int
    ) -> None:
        self._connection = connection
        self._tenant = tenant
        self._pseudonyms = pseudonyms
        self._details = details
        self._total_rows = total_rows
        self._product_ids: dict[int, str] = {}
        self._events = 0

    async def chunk(self, batch: Sequence[_Row]) -> EventChunk:
        """The columns of some events."""
        times, types, people, products, quantities = _basic(batch)
        sizes = np.fromiter(map(len, products), np.int64, len(batch))
        count = int(sizes.sum())
        product_nos, product_indexes = _numbered(np.fromiter(chain.from_iterable(products), np.int64, count))
        person_nos, user_indexes = _numbered(np.fromiter(people, np.int64, len(batch)))
        first = self._events
        self._events += len(batch)
        await self._learn(product_nos)
        return EventChunk(
            total_rows=self._total_rows,
            user_keys=[self._pseudonyms.of_person(number) for number in person_nos],
            product_ids=[self._product_ids[number] for number in product_nos],
            user_indexes=_spread(user_indexes, sizes),
            product_indexes=product_indexes.tolist(),
            event_types=_spread(np.fromiter(types, np.int64, len(batch)), sizes),
            times_s=_spread(np.fromiter(times, np.int64, len(batch)) // SECOND_US, sizes),
            quantities=[quantity or 1 for quantity in chain.from_iterable(quantities)],
            event_numbers=_spread(np.arange(first, self._events), sizes),
            details=self._details.columns(batch, self._product_ids) if self._details else None,
        )

    async def _learn(self, product_nos: Sequence[int]) -> None:
        """Fetches the ids of products that no earlier chunk had."""
        missing = [number for number in product_nos if number not in self._product_ids]
        if missing:
            arguments = {"tenant": self._tenant, "product_nos": missing}
            cursor = await self._connection.execute(_SQL.product_ids, arguments)
            self._product_ids.update(await cursor.fetchall())


def _basic(batch: Sequence[_Row]) -> tuple[Sequence[Any], ...]:
    """The basic columns."""
    if not batch:
        return ((),) * _BASIC_COLUMNS
    return tuple(zip(*batch, strict=True))[:_BASIC_COLUMNS]


def _numbered(values: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[list[int], np.ndarray[Any, np.dtype[np.int64]]]:
    """Distinct values, and the position of each value among them."""
    distinct, positions = np.unique(values, return_inverse=True)
    return distinct.tolist(), positions


def _spread(values: np.ndarray[Any, np.dtype[np.int64]], sizes: np.ndarray[Any, np.dtype[np.int64]]) -> list[int]:
    """One value an event made one a row."""
    return np.repeat(values, sizes).tolist()  # type: ignore[no-any-return]
