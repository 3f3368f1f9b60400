"""People and what they did, read from PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import AsyncCursor

from services.profile.adapters.moments import MicrosecondsLoader
from services.profile.adapters.person_keys import PersonKeys, opened_content
from services.profile.adapters.postgres import Connection, Pool, autocommit
from services.profile.adapters.product_book import ProductBook
from services.profile.adapters.sealed_ids import USER, VISITOR, SealedIds
from services.profile.domain.history import History, HistoryEvent, HistoryLimits, Person
from services.profile.ports import PeopleReader
from shared.postgres.queries import load_queries

_SQL = load_queries("services.profile.adapters", "read.sql")
_Row = Sequence[Any]
_YIELD_EVERY = 500
"""Rows after which other calls may run."""


class PostgresPeopleReader(PeopleReader):
    """Reads committed rows; each history comes from one snapshot."""

    def __init__(self, pool: Pool, book: ProductBook, ids: SealedIds, keys: PersonKeys) -> None:
        self._pool = pool
        self._book = book
        self._ids = ids
        self._keys = keys

    async def find(self, tenant: str, user_id: str, visitor_id: str) -> Person | None:
        user_hash = self._ids.hash(tenant, USER, user_id) if user_id else None
        visitor_hash = self._ids.hash(tenant, VISITOR, visitor_id) if visitor_id else None
        arguments = {"tenant": tenant, "user_hash": user_hash, "visitor_hash": visitor_hash}
        async with autocommit(self._pool) as connection:
            cursor = await connection.execute(_SQL.find_people, arguments)
            chosen = _chosen(await cursor.fetchall(), user_hash)
        sealed = next((row[6] for row in chosen if row[2]), None)
        return _person(chosen, self._ids.open(tenant, USER, sealed)) if chosen else None

    async def visitor_ids(self, tenant: str, person: Person) -> tuple[str, ...]:
        async with autocommit(self._pool) as connection:
            arguments = {"tenant": tenant, "person_nos": list(person.person_nos)}
            cursor = await connection.execute(_SQL.visitor_ids, arguments)
            return tuple(sorted(self._ids.open(tenant, VISITOR, row[0]) for row in await cursor.fetchall()))

    async def history(self, tenant: str, person: Person, limits: HistoryLimits) -> tuple[Person, History]:
        async with self._pool.connection() as connection:
            read, rows = await _read(connection, tenant, person, limits)
            ciphers = await self._keys.for_numbers(connection, tenant, {row[12] for row in rows})
            numbers = list(dict.fromkeys(chain.from_iterable(row[3] for row in rows)))
            products = await self._book.describe(connection, tenant, read.facts_version, numbers)
        positions = {number: position for position, number in enumerate(numbers)}
        rows.sort(key=itemgetter(1, 0), reverse=True)
        events = await _events(rows, positions, ciphers)
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


async def _events(rows: Sequence[_Row], positions: dict[int, int], ciphers: Mapping[int, AESGCM]) -> list[HistoryEvent]:
    """Events of rows; lets other calls run now and then."""
    events: list[HistoryEvent] = []
    for index, row in enumerate(rows):
        if index % _YIELD_EVERY == _YIELD_EVERY - 1:
            await asyncio.sleep(0)
        session_id, search_query = _texts(row, ciphers)
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
                session_id=session_id,
                search_query=search_query,
                category=row[11] or "",
            )
        )
    return events


def _texts(row: _Row, ciphers: Mapping[int, AESGCM]) -> tuple[str, str]:
    """Session and query of an event; from before they were sealed they stand in clear."""
    if row[13] is None:
        return row[9] or "", row[10] or ""
    content = opened_content(ciphers[row[12]], row[12], row[13])
    return content.session_id, content.search_query


def _chosen(rows: Sequence[_Row], user_hash: bytes | None) -> list[_Row]:
    """The user first, and a visitor unless that is another user; those with events."""
    users = [row for row in rows if user_hash and row[2] == user_hash]
    visitors = [row for row in rows if not row[2] or not user_hash]
    return [row for row in [*users[:1], *visitors] if row[3] > 0]


def _person(chosen: Sequence[_Row], user_id: str) -> Person:
    """The person that these rows are together."""
    return Person(
        person_nos=tuple(row[0] for row in chosen),
        versions=tuple(row[1] for row in chosen),
        facts_version=chosen[0][5],
        event_count=sum(row[3] for row in chosen),
        last_event_time_us=max(row[4] for row in chosen),
        user_id=user_id,
    )
