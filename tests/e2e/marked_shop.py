"""A shop whose two releases carry marks, stored without any training."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from mercato.gateway.v1 import operations_service_pb2 as operations
from mercato.gateway.v1 import product_pb2

from services.trainer.adapters.postgres import PostgresReleases
from shared.postgres.pool import open_pool
from tests.e2e.conftest import Running
from tests.e2e.marked_release import SEED, Mark, marked
from tests.e2e.shop import Shop, purchase

A, B = Mark("a", 2.0, 0.5), Mark("b", -2.0, 0.7)
IDS = [SEED, *(f"{letter}{number}" for letter in "ab" for number in range(6))]


@asynccontextmanager
async def stored(running: Running, shop: Shop) -> AsyncIterator[dict[str, Mark]]:
    """A shop with two marked releases; the first is current."""
    await shop.import_products([product_pb2.Product(product_id=one, title=f"Thing {one}") for one in IDS])
    await shop.write([purchase("buy-1", "user-1", [SEED], 3.0)])
    await shop.indexed()
    dsn = running.suite.suite.environment["MERCATO_POSTGRES_DSN"]
    found: dict[str, Mark] = {}
    async with open_pool(dsn) as pool:
        releases = PostgresReleases(pool, dsn, 5)
        for mark in (A, B):
            release, chunks = marked(mark, IDS)
            await releases.save(shop.tenant, release, chunks)
            found[release.release_id] = mark
    await promote(shop, next(iter(found)))
    yield found


async def promote(shop: Shop, release_id: str) -> None:
    await shop.call(shop.operations.PromoteRelease, operations.PromoteReleaseRequest(release_id=release_id))


def serving(shop: Shop, release_id: str) -> Callable[[], Awaitable[bool]]:
    async def served() -> bool:
        answer = await shop.recommend("user-1")
        if answer.release_id != release_id or answer.missing_stages:
            return False
        # Until the gateway knows that all stages hold a first release, it leaves out the person's vector.
        return any(abs(answer.results[0].score - mark.score) < 1e-3 for mark in (A, B))

    return served
