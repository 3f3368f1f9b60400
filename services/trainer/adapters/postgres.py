"""Releases in PostgreSQL, schema `trainer`."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection, OperationalError
from psycopg_pool import AsyncConnectionPool

from services.trainer.adapters.rows import release_of, rollout_of, values_of
from services.trainer.domain import Lineup, Release
from services.trainer.errors import ArtifactDamaged, NoWayBack, ReleaseNotFound
from services.trainer.ports import Chunks
from shared.errors.base import Unavailable
from shared.postgres.queries import load_queries

SQL = load_queries("services.trainer.adapters")


class PostgresReleases:
    """The repository."""

    def __init__(self, pool: AsyncConnectionPool, dsn: str, releases_kept: int) -> None:
        self._pool = pool
        self._dsn = dsn
        self._kept = releases_kept

    @asynccontextmanager
    async def job_lock(self, tenant: str) -> AsyncIterator[bool]:
        # A connection of its own: a job lasts long, and those of the pool are for calls. The lock lives as long as its
        # connection, so a process that dies releases it.
        try:
            connection = await AsyncConnection.connect(
                self._dsn, autocommit=True, connect_timeout=5, application_name="mercato-trainer-job"
            )
        except OperationalError as error:
            raise Unavailable("postgres") from error
        async with connection:
            cursor = await connection.execute(
                "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [f"trainer job {tenant}"]
            )
            row = await cursor.fetchone()
            yield bool(row and row[0])

    async def save(self, tenant: str, release: Release, chunks: Chunks) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(SQL.lock_tenant, {"tenant": tenant})
            await connection.execute(SQL.insert_release, values_of(tenant, release))
            for artifact in release.artifacts:
                key: dict[str, Any] = {"tenant": tenant, "id": release.release_id, "name": artifact.name}
                key |= {"sha256": artifact.sha256, "size": artifact.size_bytes}
                if (await connection.execute(SQL.insert_blob, key)).rowcount:
                    rows = [
                        {**key, "number": number, "content": content}
                        for number, content in enumerate(chunks[artifact.name])
                    ]
                    async with connection.cursor() as cursor:
                        await cursor.executemany(SQL.insert_chunk, rows)
                await connection.execute(SQL.insert_artifact, key)
            await self._delete_old(connection, tenant)

    async def promote(self, tenant: str, release_id: str, cause: str) -> Release:
        async with self._pool.connection() as connection:
            await connection.execute(SQL.lock_tenant, {"tenant": tenant})
            if not await _releases(connection, tenant, [release_id]):
                raise ReleaseNotFound(release_id)
            before, _ = await _current(connection, tenant)
            if before != release_id:
                await self._move(connection, tenant, release_id, before, cause)
            await connection.execute(SQL.end_rollout, {"tenant": tenant, "finding": f"{release_id} {cause}"})
            await self._delete_old(connection, tenant)
            return (await _releases(connection, tenant, [release_id]))[release_id]

    async def rollback(self, tenant: str, cause: str) -> Release:
        async with self._pool.connection() as connection:
            await connection.execute(SQL.lock_tenant, {"tenant": tenant})
            current, _ = await _current(connection, tenant)
            target = await _way_back(connection, tenant, current)
            if not target or not await _releases(connection, tenant, [target]):
                raise NoWayBack(current or "")
            await self._move(connection, tenant, target, await _way_back(connection, tenant, target), cause)
            await connection.execute(SQL.end_rollout, {"tenant": tenant, "finding": f"rolled back to {target}"})
            return (await _releases(connection, tenant, [target]))[target]

    async def get(self, tenant: str, release_id: str) -> Release:
        async with self._pool.connection() as connection:
            wanted = release_id or (await _current(connection, tenant))[0] or ""
            found = await _releases(connection, tenant, [wanted])
        if wanted not in found:
            raise ReleaseNotFound(release_id)
        return found[wanted]

    async def lineups(self) -> dict[str, Lineup]:
        lineups: dict[str, Lineup] = {}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(SQL.get_lineups)).fetchall()
            named = await (await connection.execute(SQL.get_experiment_releases)).fetchall()
            for tenant, current, previous, trial in rows:
                tried = [release_id for owner, release_id in named if owner == tenant]
                found = await _releases(connection, tenant, [one for one in (current, previous, trial, *tried) if one])
                rollout = None
                if trial in found:
                    row = await (await connection.execute(SQL.get_rollout, {"tenant": tenant})).fetchone()
                    rollout = rollout_of(row) if row else None
                if current in found:
                    in_experiments = tuple(found[one] for one in tried if one in found)
                    lineups[tenant] = Lineup(
                        found[current], found.get(previous), found.get(trial), rollout, in_experiments
                    )
        return lineups

    async def list_before(self, tenant: str, before: str, limit: int) -> list[Release]:
        arguments = {"tenant": tenant, "before": before, "limit": limit}
        async with self._pool.connection() as connection:
            ids = [row[0] for row in await (await connection.execute(SQL.list_releases, arguments)).fetchall()]
            found = await _releases(connection, tenant, ids)
        return [found[one] for one in ids if one in found]

    async def read_artifact(self, tenant: str, release_id: str, name: str) -> AsyncIterator[bytes]:
        key: dict[str, Any] = {"tenant": tenant, "id": release_id, "name": name}
        async with self._pool.connection() as connection:
            found = await (await connection.execute(SQL.get_artifact, key)).fetchone()
        if found is None:
            raise ReleaseNotFound(release_id)
        digest = hashlib.sha256()
        for number in range(found[1]):
            chunk = {"tenant": tenant, "sha256": found[0], "number": number}
            async with self._pool.connection() as connection:
                row = await (await connection.execute(SQL.read_chunk, chunk, binary=True)).fetchone()
            if row is None:
                raise ReleaseNotFound(release_id)  # deleted while it was read: a part is no artifact
            digest.update(row[0])
            if number == found[1] - 1 and digest.hexdigest() != found[0]:
                raise ArtifactDamaged(release_id, name)
            yield row[0]

    async def _move(
        self, connection: AsyncConnection[Any], tenant: str, release_id: str, before: str | None, cause: str
    ) -> None:
        key = {"tenant": tenant, "id": release_id, "before": before, "cause": cause}
        await connection.execute(SQL.promote, key)
        await connection.execute(SQL.note_promotion, key)

    async def _delete_old(self, connection: AsyncConnection[Any], tenant: str) -> None:
        await connection.execute(SQL.delete_old, {"tenant": tenant, "kept": self._kept})
        await connection.execute(SQL.delete_unused_blobs, {"tenant": tenant})


async def _current(connection: AsyncConnection[Any], tenant: str) -> tuple[str | None, str | None]:
    """The current release and the one before it."""
    row = await (await connection.execute(SQL.get_current, {"tenant": tenant})).fetchone()
    return (row[0], row[1]) if row else (None, None)


async def _way_back(connection: AsyncConnection[Any], tenant: str, release_id: str | None) -> str | None:
    row = await (await connection.execute(SQL.get_way_back, {"tenant": tenant, "id": release_id})).fetchone()
    return row[0] if row else None


async def _releases(connection: AsyncConnection[Any], tenant: str, ids: Sequence[str]) -> dict[str, Release]:
    cursor = await connection.execute(SQL.get_releases, {"tenant": tenant, "ids": list(ids)})
    return {row[0]: release_of(row) for row in await cursor.fetchall()}
