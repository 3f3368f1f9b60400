"""Rollouts in PostgreSQL, schema `trainer`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from services.trainer.adapters.postgres import SQL
from services.trainer.adapters.rows import rollout_of
from services.trainer.domain import Rollout, RolloutMode
from services.trainer.errors import AlreadyCurrent, NoRollout, ReleaseNotFound


class PostgresRollouts:
    """The repository."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def start(self, tenant: str, release_id: str, mode: RolloutMode, share: float) -> Rollout:
        key: dict[str, Any] = {"tenant": tenant, "id": release_id}
        async with self._pool.connection() as connection:
            await connection.execute(SQL.lock_tenant, key)
            current = await (await connection.execute(SQL.get_current, key)).fetchone()
            found = await (await connection.execute(SQL.get_releases, {**key, "ids": [release_id]})).fetchone()
            if current is None or found is None:
                raise ReleaseNotFound(release_id)
            if current[0] == release_id:
                raise AlreadyCurrent(release_id)
            await connection.execute(
                SQL.put_rollout, {**key, "baseline": current[0], "mode": str(mode), "share": share}
            )
            return await _read(connection, tenant)

    async def stop(self, tenant: str, finding: str) -> Rollout:
        async with self._pool.connection() as connection:
            ended = await connection.execute(SQL.end_rollout, {"tenant": tenant, "finding": finding})
            if not ended.rowcount:
                raise NoRollout
            return await _read(connection, tenant)

    async def latest(self, tenant: str) -> Rollout:
        async with self._pool.connection() as connection:
            return await _read(connection, tenant)

    async def running_canaries(self) -> list[str]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(SQL.get_running_rollouts)
            return [row[0] for row in await cursor.fetchall()]

    async def note(self, tenant: str, rollout: Rollout) -> None:
        arguments = {
            "tenant": tenant,
            "id": rollout.release_id,
            "start_time": rollout.start_time,
            "finding": rollout.finding,
            "arms": Jsonb([asdict(arm) for arm in rollout.arms]),
            "low": rollout.difference_low,
            "high": rollout.difference_high,
            "running": rollout.running,
        }
        async with self._pool.connection() as connection:
            await connection.execute(SQL.note_finding, arguments)


async def _read(connection: AsyncConnection[Any], tenant: str) -> Rollout:
    row = await (await connection.execute(SQL.get_rollout, {"tenant": tenant})).fetchone()
    if row is None:
        raise NoRollout
    return rollout_of(row)
