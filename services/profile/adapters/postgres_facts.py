"""Product facts in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.profile.adapters.postgres import Connection, Pool
from services.profile.ports import Facts, FactsStore
from shared.postgres.queries import load_queries

_SQL = load_queries("services.profile.adapters", "facts.sql")


class PostgresFactsStore(FactsStore):
    """The tables ``product_facts`` and ``facts_versions``."""

    def __init__(self, pool: Pool, refresh_seconds: int) -> None:
        self._pool = pool
        self._refresh_seconds = refresh_seconds

    async def tenants(self) -> Sequence[str]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL.tenants)
            return [row[0] for row in await cursor.fetchall()]

    async def claim(self, tenant: str, most: int) -> Mapping[str, int]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL.claim, {"tenant": tenant, "most": most})
            return dict(await cursor.fetchall())

    async def release(self, tenant: str, claimed: Mapping[str, int]) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_SQL.release, {"tenant": tenant, "product_nos": sorted(claimed.values())})

    async def save(self, tenant: str, claimed: Mapping[str, int], facts: Mapping[str, Facts]) -> int:
        known = {number: facts[product_id] for product_id, number in claimed.items() if product_id in facts}
        unknown = [number for product_id, number in claimed.items() if product_id not in facts]
        async with self._pool.connection() as connection:
            changed = await self._save_known(connection, tenant, known) if known else 0
            if unknown:
                await connection.execute(_SQL.save_unknown, {"tenant": tenant, "product_nos": sorted(unknown)})
        return changed

    async def _save_known(self, connection: Connection, tenant: str, facts: Mapping[int, Facts]) -> int:
        """Stores facts under the next version if any differ; the locked version row makes versions commit in order."""
        await connection.execute(_SQL.ensure_version, {"tenant": tenant})
        row = await (await connection.execute(_SQL.lock_version, {"tenant": tenant})).fetchone()
        assert row is not None, "made above or before"
        ordered = sorted(facts.items())
        cursor = await connection.execute(
            _SQL.save_known,
            {
                "tenant": tenant,
                "version": row[0],
                "refresh_seconds": self._refresh_seconds,
                "product_nos": [number for number, _ in ordered],
                "category_paths": [_array(fact.category_path) for _, fact in ordered],
                "brands": [fact.brand for _, fact in ordered],
                "prices": [-1 if fact.price_micros is None else fact.price_micros for _, fact in ordered],
                "currencies": [fact.currency for _, fact in ordered],
            },
        )
        changed = sum(1 for (differs,) in await cursor.fetchall() if differs)
        if changed:
            await connection.execute(_SQL.set_version, {"tenant": tenant, "version": row[0]})
        return changed


def _array(levels: Sequence[str]) -> str:
    """An array literal; every element quoted."""
    escaped = (level.replace("\\", "\\\\").replace('"', '\\"') for level in levels)
    return "{" + ",".join(f'"{level}"' for level in escaped) + "}"
