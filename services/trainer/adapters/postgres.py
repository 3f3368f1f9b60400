"""Releases in PostgreSQL, schema `trainer`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection, OperationalError
from psycopg_pool import AsyncConnectionPool

from services.trainer.domain import Release
from services.trainer.errors import ReleaseNotFound
from services.trainer.ports import TableKind
from shared.errors.base import Unavailable
from shared.postgres.queries import load_queries

_SQL = load_queries("services.trainer.adapters")


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

    async def save(self, tenant: str, release: Release, chunks: dict[TableKind, list[bytes]]) -> None:
        key = {"tenant": tenant, "id": release.release_id}
        rows = [
            {**key, "kind": kind, "number": number, "content": content}
            for kind, contents in chunks.items()
            for number, content in enumerate(contents)
        ]
        async with self._pool.connection() as connection:
            await connection.execute(
                _SQL.insert_release,
                {
                    **key,
                    "create_time": release.create_time,
                    "data_end_time": release.data_end_time,
                    "purchases": release.purchase_count,
                    "users": release.user_count,
                    "products": release.product_count,
                    "pairs": release.pair_count,
                },
            )
            async with connection.cursor() as cursor:
                await cursor.executemany(_SQL.insert_chunk, rows)
            await connection.execute(_SQL.delete_old, {"tenant": tenant, "kept": self._kept})

    async def promote(self, tenant: str, release_id: str) -> Release:
        key = {"tenant": tenant, "id": release_id}
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL.get_release, key)).fetchone()
            if row is None:
                raise ReleaseNotFound(release_id)
            await connection.execute(_SQL.promote, key)
            await connection.execute(_SQL.delete_old, {"tenant": tenant, "kept": self._kept})
        return Release(row[0], row[1], True, *row[3:])

    async def current(self, tenant: str) -> Release:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL.get_current, {"tenant": tenant})).fetchone()
        if row is None:
            raise ReleaseNotFound("")
        return Release(*row)

    async def all_current(self) -> dict[str, Release]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL.get_all_current)
            return {row[0]: Release(*row[1:]) for row in await cursor.fetchall()}

    async def list_before(self, tenant: str, before: str, limit: int) -> list[Release]:
        arguments = {"tenant": tenant, "before": before, "limit": limit}
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL.list_releases, arguments)
            return [Release(*row) for row in await cursor.fetchall()]

    async def read_table(self, tenant: str, release_id: str, kind: TableKind) -> AsyncIterator[bytes]:
        key: dict[str, Any] = {"tenant": tenant, "id": release_id, "kind": kind}
        async with self._pool.connection() as connection:
            counted = await (await connection.execute(_SQL.count_chunks, key)).fetchone()
        chunks = counted[0] if counted else 0
        if not chunks:
            raise ReleaseNotFound(release_id)
        for number in range(chunks):
            async with self._pool.connection() as connection:
                cursor = await connection.execute(_SQL.read_chunk, {**key, "number": number}, binary=True)
                row = await cursor.fetchone()
            if row is None:
                raise ReleaseNotFound(release_id)  # deleted while it was read: a part is no release
            yield row[0]
