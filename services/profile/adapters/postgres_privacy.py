"""Export and erasure of one person in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from psycopg import AsyncServerCursor

from services.profile.adapters.person_keys import PersonKeys, opened_content
from services.profile.adapters.postgres import Connection, Pool, retried
from services.profile.adapters.rows import event_of
from services.profile.adapters.sealed_ids import USER, VISITOR, SealedIds
from services.profile.domain.event import Event
from services.profile.errors import ConcurrentChange
from services.profile.ports import ExportPart, PrivacyStore, Receipt
from shared.postgres.queries import load_queries

_SQL = load_queries("services.profile.adapters", "privacy.sql")
_READ = load_queries("services.profile.adapters", "read.sql")
_PART = 200
"""Events of one part of an export."""


class PostgresPrivacyStore(PrivacyStore):
    """All tables of the schema that hold anything about people."""

    def __init__(self, pool: Pool, ids: SealedIds, keys: PersonKeys) -> None:
        self._pool = pool
        self._ids = ids
        self._keys = keys

    async def export(self, tenant: str, user_id: str, visitor_id: str) -> AsyncGenerator[ExportPart, None]:
        async with self._pool.connection() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            await connection.execute("SET LOCAL statement_timeout = 0")
            person_no = await find_person(connection, self._ids, tenant, (user_id, visitor_id))
            if person_no is None:
                return
            arguments = {"tenant": tenant, "person_nos": [person_no]}
            visitors = await connection.execute(_READ.visitor_ids, arguments)
            visitor_ids = sorted(self._ids.open(tenant, VISITOR, row[0]) for row in await visitors.fetchall())
            first = True
            async with AsyncServerCursor(connection, "profile_export") as cursor:
                await cursor.execute(_SQL.export_events, arguments)
                while (rows := await cursor.fetchmany(_PART)) or first:
                    events = await self._opened(connection, tenant, rows)
                    yield ExportPart(events, visitor_ids if first else ())
                    first = False

    async def _opened(self, connection: Connection, tenant: str, rows: Sequence[Sequence[Any]]) -> list[Event]:
        ciphers = await self._keys.for_numbers(connection, tenant, {row[-2] for row in rows})
        events = []
        for row in rows:
            user_id, visitor_id = self._ids.open(tenant, USER, row[3]), self._ids.open(tenant, VISITOR, row[4])
            content = None if row[-1] is None else opened_content(ciphers[row[-2]], row[-2], row[-1])
            events.append(event_of((*row[:3], user_id, visitor_id, *row[5:]), content))
        return events

    async def erase(self, tenant: str, user_id: str, visitor_id: str, receipt_id: str = "") -> Receipt:
        async def attempt(number: int) -> Receipt:
            async with self._pool.connection() as connection:
                await connection.execute("SET LOCAL statement_timeout = 0")
                person_no = await find_person(connection, self._ids, tenant, (user_id, visitor_id))
                erased = (0, 0) if person_no is None else await erase_person(connection, tenant, person_no)
                return await _receipt(connection, tenant, receipt_id, erased)

        return await retried("erase", attempt)


async def find_person(connection: Connection, ids: SealedIds, tenant: str, wanted: tuple[str, str]) -> int | None:
    """The number of the user, else of the visitor's person."""
    user_id, visitor_id = wanted
    arguments = {
        "tenant": tenant,
        "user_hash": ids.hash(tenant, USER, user_id) if user_id else None,
        "visitor_hash": ids.hash(tenant, VISITOR, visitor_id) if visitor_id else None,
    }
    cursor = await connection.execute(_SQL.find_person, arguments)
    row = await cursor.fetchone()
    return row[0] if row else None


async def erase_person(connection: Connection, tenant: str, person_no: int) -> tuple[int, int]:
    """Erases a person; returns counts of events and of other records.

    Waits for writers that hold the person, and later ones meet nobody.
    Locks visitors, then the person, like the writers. A login may join a visitor in between; then again.
    """
    arguments = {"tenant": tenant, "person_no": person_no}
    before = await (await connection.execute(_SQL.lock_visitors, arguments)).fetchall()
    locked = await (await connection.execute(_SQL.lock_person, arguments)).fetchall()
    after = await (await connection.execute(_SQL.lock_visitors, arguments)).fetchall()
    if not locked or set(after) != set(before):
        raise ConcurrentChange("the person changed while it was locked")
    events = records = 0
    for query in (_SQL.erase_purchases, _SQL.erase_others):
        row = await (await connection.execute(query, arguments)).fetchone()
        events += row[0] if row else 0
    row = await (await connection.execute(_SQL.erase_quarantine, arguments)).fetchone()
    records += row[0] if row else 0
    records += (await connection.execute(_SQL.erase_joins, arguments)).rowcount
    await connection.execute(_SQL.hand_over_visitors, arguments)
    records += (await connection.execute(_SQL.erase_visitors, arguments)).rowcount
    await connection.execute(_SQL.erase_keys, arguments)
    records += (await connection.execute(_SQL.erase_person, arguments)).rowcount
    return events, records


async def _receipt(connection: Connection, tenant: str, receipt_id: str, erased: tuple[int, int]) -> Receipt:
    """Records the erasure without saying whose; counts of repeated attempts add up."""
    arguments = {"tenant": tenant, "receipt_id": receipt_id or None, "events": erased[0], "records": erased[1]}
    row = await (await connection.execute(_SQL.add_receipt, arguments)).fetchone()
    assert row is not None, "an insert returns its row"
    return Receipt(*row)
