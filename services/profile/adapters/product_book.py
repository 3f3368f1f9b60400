"""Products by number, kept in memory and kept true to the facts in the database."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from services.profile.adapters.postgres import Connection
from services.profile.domain.history import ProductInfo
from shared.postgres.queries import load_queries

_SQL = load_queries("services.profile.adapters", "read.sql")


@dataclass(slots=True)
class _Shelf:
    """Products of one tenant as of ``facts_version``."""

    facts_version: int = 0
    products: dict[int, ProductInfo] = field(default_factory=dict)


class ProductBook:
    """Bounded: the oldest products leave first."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._shelves: dict[str, _Shelf] = {}

    async def describe(
        self, connection: Connection, tenant: str, facts_version: int, product_nos: Collection[int]
    ) -> dict[int, ProductInfo]:
        """Every product asked for, at least as new as ``facts_version``."""
        shelf = self._shelves.setdefault(tenant, _Shelf())
        if facts_version > shelf.facts_version:
            await self._forget_changed(connection, tenant, shelf, facts_version)
        known = shelf.products
        found = {number: info for number in product_nos if (info := known.get(number)) is not None}
        missing = [number for number in product_nos if number not in found]
        if missing:
            fetched = await self._fetch(connection, tenant, missing)
            found |= fetched
            # The shelf may be ahead of this transaction's snapshot; what was fetched may be older than that.
            if facts_version == shelf.facts_version:
                self._keep(shelf, fetched)
        return found

    async def _forget_changed(self, connection: Connection, tenant: str, shelf: _Shelf, facts_version: int) -> None:
        """Drops products whose facts changed since the shelf's version."""
        arguments = {"tenant": tenant, "version": shelf.facts_version}
        cursor = await connection.execute(_SQL.changed_products, arguments)
        for (number,) in await cursor.fetchall():
            shelf.products.pop(number, None)
        shelf.facts_version = max(shelf.facts_version, facts_version)

    async def _fetch(self, connection: Connection, tenant: str, product_nos: list[int]) -> dict[int, ProductInfo]:
        """Products from the tables."""
        arguments = {"tenant": tenant, "product_nos": product_nos}
        cursor = await connection.execute(_SQL.describe_products, arguments)
        return {number: ProductInfo(*columns) for number, *columns in await cursor.fetchall()}

    def _keep(self, shelf: _Shelf, products: dict[int, ProductInfo]) -> None:
        """Remembers products."""
        shelf.products.update(products)
        while len(shelf.products) > self._max_size:
            del shelf.products[next(iter(shelf.products))]
