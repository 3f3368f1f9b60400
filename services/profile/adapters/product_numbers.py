"""Numbers of product ids and partitions of months: what a batch needs before its transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from services.profile.adapters.postgres import Pool
from services.profile.domain.event import SECOND_US
from shared.postgres.queries import load_queries

_SQL = load_queries("services.profile.adapters", "write.sql")


class ProductNumbers:
    """The dictionary of product ids; numbers never change, so they are kept (bounded, the oldest leave first)."""

    def __init__(self, pool: Pool, max_size: int) -> None:
        self._pool = pool
        self._max_size = max_size
        self._known: dict[tuple[str, str], int] = {}

    async def numbers(self, tenant: str, product_ids: Iterable[str]) -> dict[str, int]:
        """The number of each id, made and committed where new."""
        wanted = set(product_ids)
        found = {
            product_id: number for product_id in wanted if (number := self._known.get((tenant, product_id))) is not None
        }
        missing = sorted(wanted - found.keys())
        if missing:
            fetched = await self._fetch(tenant, missing)
            found |= fetched
            self._keep(tenant, fetched)
        return found

    async def _fetch(self, tenant: str, missing: list[str]) -> dict[str, int]:
        """Numbers from the table, with rows for the ids that it lacks."""
        found: dict[str, int] = {}
        async with self._pool.connection() as connection:
            for query in (_SQL.find_products, _SQL.add_products, _SQL.find_products):
                left = [product_id for product_id in missing if product_id not in found]
                if left:
                    cursor = await connection.execute(query, {"tenant": tenant, "ids": left})
                    found |= dict(await cursor.fetchall())
        return found

    def _keep(self, tenant: str, numbers: dict[str, int]) -> None:
        """Remembers numbers."""
        for product_id, number in numbers.items():
            self._known[tenant, product_id] = number
        while len(self._known) > self._max_size:
            del self._known[next(iter(self._known))]


class Partitions:
    """Monthly partitions, made on demand."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._known: set[tuple[int, int]] = set()

    async def ensure(self, times_us: Sequence[int]) -> None:
        """Makes and commits the partitions of these moments."""
        months = {_month(time_us): time_us for time_us in times_us}
        missing = [time_us for month, time_us in sorted(months.items()) if month not in self._known]
        if not missing:
            return
        async with self._pool.connection() as connection:
            await connection.execute(_SQL.ensure_partitions, {"times_us": missing})
        self._known |= months.keys()

    def forget(self) -> None:
        """Looks again: somebody dropped a partition."""
        self._known.clear()


def _month(time_us: int) -> tuple[int, int]:
    """Year and month, UTC."""
    moment = datetime.fromtimestamp(time_us // SECOND_US, UTC)
    return moment.year, moment.month
