"""API keys in PostgreSQL, schema `gateway`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from services.gateway.access.keys import ApiKey, KeySnapshot, KnownSecret, NewKey, new_key_id
from services.gateway.access.ports import KeyStore
from shared.errors.base import AlreadyExists
from shared.postgres.queries import load_queries

_SQL = load_queries("services.gateway.adapters")


class PostgresKeys(KeyStore):
    """Every change raises the change number in its own transaction."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def change_number(self) -> int:
        async with self._pool.connection() as connection:
            return await _change_number(connection)

    async def load(self) -> KeySnapshot:
        async with self._pool.connection() as connection:
            # The number first: a change between the two reads is then read again, not missed.
            number = await _change_number(connection)
            rows = await (await connection.execute(_SQL.load_secrets)).fetchall()
            any_key = await (await connection.execute(_SQL.has_keys)).fetchone()
        secrets = [KnownSecret(bytes(row[0]), row[1], row[2], tuple(row[3]), row[4]) for row in rows]
        return KeySnapshot(number, bool(any_key and any_key[0]), secrets)

    async def create(self, key: NewKey, sha256: bytes) -> ApiKey:
        async with self._pool.connection() as connection:
            key_id = await _insert(connection, key, sha256)
            made = await _get(connection, key.tenant, key_id)
            assert made is not None
            return made

    async def get(self, tenant: str, key_id: str) -> ApiKey | None:
        async with self._pool.connection() as connection:
            return await _get(connection, tenant, key_id)

    async def list(self, tenant: str, before: int | None, limit: int, *, ended: bool) -> Sequence[ApiKey]:
        values = {"tenant": tenant, "before": before, "limit": limit, "ended": ended}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SQL.list_keys, values)).fetchall()
        return [_key(row) for row in rows]

    async def rotate(
        self, tenant: str, key_id: str, sha256: bytes, overlap_seconds: float
    ) -> tuple[ApiKey, datetime] | None:
        values = {"tenant": tenant, "id": key_id, "sha256": sha256, "overlap": overlap_seconds}
        async with self._pool.connection() as connection:
            if not await (await connection.execute(_SQL.lock_valid_key, values)).fetchone():
                return None
            await connection.execute(_SQL.end_older_secrets, values)
            ended = await (await connection.execute(_SQL.end_latest_secret, values)).fetchone()
            await connection.execute(_SQL.insert_secret, values)
            await connection.execute(_SQL.note_change)
            key = await _get(connection, tenant, key_id)
        assert key is not None and ended is not None
        return key, ended[0]

    async def revoke(self, tenant: str, key_id: str) -> ApiKey | None:
        async with self._pool.connection() as connection:
            await connection.execute(_SQL.revoke_key, {"tenant": tenant, "id": key_id})
            await connection.execute(_SQL.note_change)
            return await _get(connection, tenant, key_id)

    async def note_used(self, times_s: Mapping[str, float]) -> None:
        values = {"ids": list(times_s), "times": list(times_s.values())}
        async with self._pool.connection() as connection:
            await connection.execute(_SQL.note_used, values)

    async def adopt(self, key: NewKey, sha256: bytes) -> bool:
        async with self._pool.connection() as connection:
            # Gateways that start together adopt one after the other.
            await connection.execute(_SQL.note_change)
            found = await (await connection.execute(_SQL.has_secret, {"sha256": sha256})).fetchone()
            if found and found[0]:
                return False
            await _insert(connection, key, sha256)
            return True


async def _change_number(connection: AsyncConnection[Any]) -> int:
    row = await (await connection.execute(_SQL.get_change_number)).fetchone()
    return int(row[0]) if row else 0


async def _insert(connection: AsyncConnection[Any], key: NewKey, sha256: bytes) -> str:
    """Stores a key and its secret. Raises AlreadyExists."""
    values = {
        "id": new_key_id(),
        "tenant": key.tenant,
        "name": key.name,
        "scopes": list(key.scopes),
        "by": key.created_by,
        "lifetime": key.lifetime_seconds,
        "sha256": sha256,
    }
    stored = await (await connection.execute(_SQL.insert_key, values)).fetchone()
    if stored is None:
        raise AlreadyExists("api_key", key.name)
    await connection.execute(_SQL.insert_secret, values)
    await connection.execute(_SQL.note_change)
    return str(stored[0])


async def _get(connection: AsyncConnection[Any], tenant: str, key_id: str) -> ApiKey | None:
    row = await (await connection.execute(_SQL.get_key, {"tenant": tenant, "id": key_id})).fetchone()
    return _key(row) if row else None


def _key(row: Sequence[Any]) -> ApiKey:
    key_id, number, tenant, name, scopes, *rest = row
    return ApiKey(key_id, number, tenant, name, tuple(scopes), *rest)
