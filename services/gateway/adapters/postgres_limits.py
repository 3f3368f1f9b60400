"""Token buckets and quotas in PostgreSQL, schema `gateway`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg_pool import AsyncConnectionPool

from services.gateway.limits.ports import BucketStore, Lease, OverrideStore
from services.gateway.limits.quota import Override
from shared.postgres.queries import load_queries

_SQL = load_queries("services.gateway.adapters")


class PostgresBuckets(BucketStore):
    """Rows are locked in the order of their scopes, so that gateways never wait for each other in a circle."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def lease(self, leases: Sequence[Lease]) -> Mapping[str, float]:
        values = {
            "scopes": [lease.scope for lease in leases],
            "rates": [lease.per_second for lease in leases],
            "bursts": [lease.burst for lease in leases],
            "wanted": [lease.wanted for lease in leases],
            "returned": [lease.returned for lease in leases],
        }
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SQL.lease_tokens, values)).fetchall()
            if len(rows) < len(leases):
                known = {row[0] for row in rows}
                new = [lease for lease in leases if lease.scope not in known]
                await connection.execute(
                    _SQL.make_buckets, {"scopes": [o.scope for o in new], "bursts": [o.burst for o in new]}
                )
        if len(rows) < len(leases):
            return {**{row[0]: float(row[1]) for row in rows}, **await self.lease(new)}
        return {row[0]: float(row[1]) for row in rows}

    async def forget(self, idle_seconds: float) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_SQL.forget_buckets, {"seconds": idle_seconds})


class PostgresOverrides(OverrideStore):
    """One row an override."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def all(self) -> Mapping[tuple[str, str], Override]:
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SQL.all_quotas)).fetchall()
        return {(row[0], row[1]): Override(row[2], row[3], row[4]) for row in rows}

    async def put(self, tenant: str, actor: str, override: Override) -> None:
        values = {
            "tenant": tenant,
            "actor": actor,
            "per_second": override.per_second,
            "burst": override.burst,
            "at_once": override.at_once,
        }
        async with self._pool.connection() as connection:
            await connection.execute(_SQL.put_quota, values)

    async def remove(self, tenant: str, actor: str) -> bool:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL.remove_quota, {"tenant": tenant, "actor": actor})
            return cursor.rowcount > 0
