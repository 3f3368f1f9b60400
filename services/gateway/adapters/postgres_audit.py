"""The log of administrative acts in PostgreSQL, schema `gateway`; triggers keep it append-only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from psycopg_pool import AsyncConnectionPool

from services.gateway.access.ports import Act, AuditEvent, AuditFilter, AuditStore, Outcome
from shared.postgres.queries import load_queries

_SQL = load_queries("services.gateway.adapters")


class PostgresAudit(AuditStore):
    """Beginnings and ends of acts in two tables."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def begin(self, act: Act) -> int:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL.begin_act, asdict(act))).fetchone()
        assert row is not None
        return int(row[0])

    async def end(self, outcomes: Sequence[Outcome]) -> None:
        async with self._pool.connection() as connection, connection.cursor() as cursor:
            await cursor.executemany(
                _SQL.end_act,
                [
                    {"number": one.event_number, "end_s": one.end_s, "outcome": one.outcome, "target": one.target}
                    for one in outcomes
                ],
            )

    async def list(self, tenant: str, wanted: AuditFilter, before: int | None, limit: int) -> Sequence[AuditEvent]:
        values = {**asdict(wanted), "tenant": tenant, "before": before, "limit": limit}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SQL.list_acts, values)).fetchall()
        return [_event(row) for row in rows]


def _event(row: Sequence[Any]) -> AuditEvent:
    number, begin, end, tenant, actor, action, peer, request_id, target, outcome = row
    return AuditEvent(number, begin, end, Act(tenant, actor, action, peer, request_id), target, outcome)
