"""People and what they did, read from PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from psycopg import AsyncCursor

from services.profile.adapters.moments import MicrosecondsLoader
from services.profile.adapters.postgres import Connection, Pool, autocommit
from services.profile.adapters.product_book import ProductBook
from services.profile.domain.history import History, HistoryEvent, HistoryLimits, Person
from services.profile.ports import PeopleReader
from shared.postgres.queries import load_queries

_SQL = load_queries("services.profile.adapters", "read.sql")
_Row = Sequence[Any]
_YIELD_EVERY = 500
"""Rows after which other calls may run."""


class PostgresPeopleReader(PeopleReader):
    """Reads committed rows; each history comes from one snapshot."""

    def __init__(self, pool: Pool, book: ProductBook) -> None:
        self._pool = pool
        self._book = book

    async def find(self, tenant: str, user_id: str, visitor_id: str) -> Person | None:
        if "\0" in user_id or "\0" in visitor_id:  # no text of PostgreSQL's, so no one's id
            return None
        arguments = {"tenant": tenant, "user_id": user_id or None, "visitor_id": visitor_id or None}
        async with autocommit(self._pool) as connection:
            cursor = await connection.execute(_SQL.find_people, arguments)
            return _person(await cursor.fetchall(), user_id)

    async def visitor_ids(self, tenant: str, person: Person) -> tuple[str, ...]:
        async with autocommit(self._pool) as connection:
            arguments = {"tenant": tenant, "person_nos": list(person.person_nos)}
            cursor = await connection.execute(_SQL.visitor_ids, arguments)
            return tuple(row[0] for row in await cursor.fetchall())

    async def history(self, tenant: str, person: Person, limits: HistoryLimits) -> tuple[Person, History]:
        async with self._pool.connection() as connection:
            read, rows = await _read(connection, tenant, person, limits)
            numbers = list(dict.fromkeys(chain.from_iterable(row[3] for row in rows)))
            products = await self._book.describe(connection, tenant, read.facts_version, numbers)
        positions = {number: position for position, number in enumerate(numbers)}
        rows.sort(key=itemgetter(1, 0), reverse=True)
        events = await _events(rows, positions)
        return read, History(tuple(events), tuple(map(products.__getitem__, numbers)))


async def _read(
    connection: Connection, tenant: str, person: Person, limits: HistoryLimits
) -> tuple[Person, list[_Row]]:
    """The person and the rows of one snapshot, in one round trip."""
    people = {"tenant": tenant, "person_nos": list(person.person_nos)}
    cursors: list[AsyncCursor[Any]] = []
    async with connection.pipeline():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        versions = await connection.execute(_SQL.versions, people)
        for person_no in person.person_nos:
            for query, most in ((_SQL.purchases, limits.purchases), (_SQL.others, limits.others)):
                cursor = connection.cursor(binary=True)
                cursor.adapters.register_loader("timestamptz", MicrosecondsLoader)
                await cursor.execute(query, {"tenant": tenant, "person_no": person_no, "most": most})
                cursors.append(cursor)
    rows = [row for cursor in cursors for row in await cursor.fetchall()]
    found = {row[0]: row for row in await versions.fetchall()}
    return _as_read(person, found), rows


def _as_read(person: Person, found: dict[int, _Row]) -> Person:
    """The person as of the snapshot."""
    rows = [found[number] for number in person.person_nos if number in found]
    return Person(
        person_nos=person.person_nos,
        versions=tuple(found[number][1] if number in found else 0 for number in person.person_nos),
        facts_version=rows[0][4] if rows else person.facts_version,
        event_count=sum(row[2] for row in rows),
        last_event_time_us=max((row[3] or 0 for row in rows), default=0),
        user_id=person.user_id,
    )


async def _events(rows: Sequence[_Row], positions: dict[int, int]) -> list[HistoryEvent]:
    """Events of rows; lets other calls run now and then."""
    events: list[HistoryEvent] = []
    for index, row in enumerate(rows):
        if index % _YIELD_EVERY == _YIELD_EVERY - 1:
            await asyncio.sleep(0)
        events.append(
            HistoryEvent(
                event_no=row[0],
                time_us=row[1],
                event_type=row[2],
                products=list(map(positions.__getitem__, row[3])),
                quantities=row[4],
                price_micros=row[5],
                currency=row[6] or "",
                revenue_micros=row[7],
                rating=row[8],
                session_id=row[9] or "",
                search_query=row[10] or "",
                category=row[11] or "",
            )
        )
    return events


def _person(rows: Sequence[_Row], user_id: str) -> Person | None:
    """Whom the rows mean: the user first, and a visitor unless that is another user. None without events."""
    users = [row for row in rows if user_id and row[2] == user_id]
    visitors = [row for row in rows if not row[2] or not user_id]
    chosen = [row for row in [*users[:1], *visitors] if row[3] > 0]
    if not chosen:
        return None
    return Person(
        person_nos=tuple(row[0] for row in chosen),
        versions=tuple(row[1] for row in chosen),
        facts_version=chosen[0][5],
        event_count=sum(row[3] for row in chosen),
        last_event_time_us=max(row[4] for row in chosen),
        user_id=next((row[2] for row in chosen if row[2]), ""),
    )
