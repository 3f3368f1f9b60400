"""Removing by age in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.profile.adapters.postgres import Pool, retried
from services.profile.adapters.postgres_privacy import erase_person
from services.profile.ports import RetentionStore
from shared.postgres.queries import load_queries

_SQL = load_queries("services.profile.adapters", "retention.sql")
KINDS = ("events", "people", "quarantine", "receipts", "tombstones")
"""In the order in which they are removed: people after their events."""
_PEOPLE_AT_ONCE = 200


class PostgresRetentionStore(RetentionStore):
    """All tables of the schema that hold something for a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def tenants(self) -> Sequence[str]:
        async with self._pool.connection() as connection:
            return [row[0] for row in await (await connection.execute(_SQL.tenants)).fetchall()]

    async def count_older(self, tenant: str, kind: str, days: int) -> int:
        return await self._one(f"count_{kind}", {"tenant": tenant, "days": days})

    async def remove_older(self, tenant: str, kind: str, days: int, most: int) -> int:
        if kind == "people":
            return await self._remove_people(tenant, days)
        arguments = {"tenant": tenant, "days": days, "most": most}

        async def attempt(number: int) -> int:
            return await self._one(f"remove_{kind}", arguments)

        return await retried("retention", attempt)

    async def _one(self, name: str, arguments: dict[str, Any]) -> int:
        async with self._pool.connection() as connection:
            await connection.execute("SET LOCAL statement_timeout = 0")
            row = await (await connection.execute(_SQL[name], arguments)).fetchone()
        return int(row[0]) if row else 0

    async def _remove_people(self, tenant: str, days: int) -> int:
        arguments = {"tenant": tenant, "days": days, "most": _PEOPLE_AT_ONCE}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SQL.idle_people, arguments)).fetchall()
        for (person_no,) in rows:

            async def attempt(number: int, person_no: int = person_no) -> None:
                async with self._pool.connection() as connection:
                    await erase_person(connection, tenant, person_no)

            await retried("retention", attempt)
        return len(rows)
