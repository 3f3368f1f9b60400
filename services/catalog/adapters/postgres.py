"""Products, offers and the change feed in PostgreSQL, schema `catalog`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from services.catalog.domain import (
    Availability,
    CatalogState,
    Change,
    Facts,
    Offer,
    Price,
    ProductWrite,
    StoredProduct,
)
from shared.postgres.queries import load_queries
from shared.telemetry.outbox import Backlog

_SQL = load_queries("services.catalog.adapters")
LEVEL_SEPARATOR = "\x1f"


class PostgresTransaction:
    """Products of one tenant within one transaction."""

    def __init__(self, connection: AsyncConnection[Any], tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    async def lock(self, product_ids: Sequence[str]) -> dict[str, StoredProduct]:
        # Rows are locked in the order of their ids, so that overlapping batches wait for each other and never deadlock.
        arguments = {"tenant": self._tenant, "ids": sorted(product_ids)}
        cursor = await self._connection.execute(_SQL.lock_products, arguments, binary=True)
        return {row[0]: _stored(row) for row in await cursor.fetchall()}

    async def put(self, writes: Sequence[ProductWrite]) -> None:
        ordered = sorted(writes, key=lambda write: write.content.product_id)
        contents, offers = [write.content for write in ordered], [write.offer for write in ordered]
        await self._connection.execute(
            _SQL.put_products,
            {
                "tenant": self._tenant,
                "ids": [content.product_id for content in contents],
                "basics": [content.basic for content in contents],
                "details": [content.details for content in contents],
                "hashes": [content.content_hash for content in contents],
                "categories": [LEVEL_SEPARATOR.join(content.category_path) for content in contents],
                "brands": [content.brand for content in contents],
                "units": [offer.price.units if offer.price else None for offer in offers],
                "nanos": [offer.price.nanos if offer.price else 0 for offer in offers],
                "currencies": [offer.price.currency_code if offer.price else "" for offer in offers],
                "availabilities": [int(offer.availability) for offer in offers],
                "stocks": [offer.stock for offer in offers],
                "offer_times": [offer.offer_time for offer in offers],
                "publish_times": [write.publish_time for write in ordered],
                "contents": [write.content_changed for write in ordered],
            },
        )

    async def confirm(self, offer_times: Mapping[str, datetime]) -> None:
        ordered = sorted(offer_times.items())
        await self._connection.execute(
            _SQL.confirm_offers,
            {
                "tenant": self._tenant,
                "ids": [product_id for product_id, _ in ordered],
                "times": [time for _, time in ordered],
            },
        )


class PostgresProducts:
    """The repository and the change feed on one pool."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self, tenant: str) -> AsyncIterator[PostgresTransaction]:
        async with self._pool.connection() as connection:
            yield PostgresTransaction(connection, tenant)

    async def read(self, tenant: str, product_ids: Sequence[str], *, basic: bool) -> dict[str, StoredProduct]:
        query = _SQL.read_basic_products if basic else _SQL.read_products
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, {"tenant": tenant, "ids": list(product_ids)}, binary=True)
            return {row[0]: _stored(row) for row in await cursor.fetchall()}

    async def facts(self, tenant: str, product_ids: Sequence[str]) -> list[Facts]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                _SQL.read_facts, {"tenant": tenant, "ids": list(product_ids)}, binary=True
            )
            return [Facts(row[0], tuple(row[1]), row[2], _price(*row[3:])) for row in await cursor.fetchall()]

    async def list_after(self, tenant: str, after: str, category: str, limit: int) -> list[StoredProduct]:
        arguments = {"tenant": tenant, "after": after, "category": category, "limit": limit}
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL.list_products, arguments, binary=True)
            return [_stored(row) for row in await cursor.fetchall()]

    async def delete(self, tenant: str, product_id: str) -> bool:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL.delete_product, {"tenant": tenant, "id": product_id})
            return cursor.rowcount > 0

    async def state(self, tenant: str) -> CatalogState:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL.state, {"tenant": tenant})).fetchone()
        return CatalogState(*row) if row else CatalogState(0, 0, 0.0)

    async def tenants(self) -> list[str]:
        async with self._pool.connection() as connection:
            return [row[0] for row in await (await connection.execute(_SQL.read_tenants)).fetchall()]

    async def claim(self, limit: int, lease_seconds: float) -> list[Change]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL.claim_changes, {"limit": limit, "lease": lease_seconds})
            return [Change(*row) for row in await cursor.fetchall()]

    async def claim_products(self, tenant: str, product_ids: Sequence[str], lease_seconds: float) -> list[Change]:
        async with self._pool.connection() as connection:
            arguments = {"tenant": tenant, "ids": list(product_ids), "lease": lease_seconds}
            cursor = await connection.execute(_SQL.claim_products, arguments)
            return [Change(*row) for row in await cursor.fetchall()]

    async def finish(self, changes: Sequence[Change]) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_SQL.finish_changes, _keys(changes))

    async def put_back(self, changes: Sequence[Change], error: str, wait_seconds: float, *, blamed: bool) -> None:
        async with self._pool.connection() as connection:
            arguments = {**_keys(changes), "error": error[:500], "wait": wait_seconds, "forgiven": int(not blamed)}
            await connection.execute(_SQL.put_back_changes, arguments)

    async def note_all(self, tenant: str) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_SQL.note_all, {"tenant": tenant})

    async def backlog(self) -> Backlog:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL.backlog)).fetchone()
        return Backlog(*row) if row else Backlog(0, 0.0)

    @asynccontextmanager
    async def rebuild_lock(self, tenant: str) -> AsyncIterator[bool]:
        # The lock lives as long as its transaction, so a process that dies releases it.
        async with self._pool.connection() as connection:
            query = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
            row = await (await connection.execute(query, [f"catalog rebuild {tenant}"])).fetchone()
            yield bool(row and row[0])


def _keys(changes: Sequence[Change]) -> dict[str, Any]:
    ordered = sorted(changes, key=lambda change: change.product_id)
    return {
        "tenant": ordered[0].tenant,
        "ids": [change.product_id for change in ordered],
        "numbers": [change.number for change in ordered],
        "lease": ordered[0].lease_until,
    }


def _price(units: int | None, nanos: int, currency_code: str) -> Price | None:
    return None if units is None else Price(units, nanos, currency_code)


def _stored(row: tuple[Any, ...]) -> StoredProduct:
    product_id, basic, details, content_hash, units, nanos, currency, availability, stock, offer_time = row[:10]
    publish_time, create_time, update_time, change_number = row[10:]
    offer = Offer(_price(units, nanos, currency), Availability(availability), stock, offer_time)
    return StoredProduct(
        product_id, basic, details, content_hash, offer, publish_time, create_time, update_time, change_number
    )
