"""The contract on PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from services.profile.adapters.batch import BatchParts
from services.profile.adapters.event_stream import PostgresEventStream
from services.profile.adapters.person_keys import PersonKeys
from services.profile.adapters.postgres_events import PostgresEventStore
from services.profile.adapters.postgres_facts import PostgresFactsStore
from services.profile.adapters.postgres_people import PostgresPeopleReader
from services.profile.adapters.postgres_privacy import PostgresPrivacyStore
from services.profile.adapters.product_book import ProductBook
from services.profile.adapters.product_numbers import Partitions, ProductNumbers
from services.profile.adapters.sealed_ids import SealedIds
from services.profile.adapters.tombstones import Tombstones
from services.profile.domain.robots import RobotRules
from shared.postgres.migrations import migrate
from shared.postgres.pool import open_pool
from shared.privacy.key_ring import KeyRing
from tests.contract.profile.stores import Stores, StoresContract


@asynccontextmanager
async def open_stores(dsn: str) -> AsyncIterator[Stores]:
    with TemporaryDirectory() as folder:
        async with _open(dsn, KeyRing(Path(folder) / "personal.json")) as stores:
            yield stores


@asynccontextmanager
async def _open(dsn: str, ring: KeyRing) -> AsyncIterator[Stores]:
    async with open_pool(dsn, min_size=1, max_size=8) as pool:
        await migrate(pool, "services.profile.migrations")
        ids, keys = SealedIds(ring), PersonKeys(ring)
        parts = BatchParts(RobotRules(), ids, keys, Tombstones(ids))
        yield Stores(
            PostgresEventStore(pool, ProductNumbers(pool, 1_000), Partitions(pool), parts),
            PostgresPeopleReader(pool, ProductBook(1_000), ids, keys),
            PostgresPrivacyStore(pool, ids, keys),
            PostgresEventStream(pool, b"key"),
            PostgresFactsStore(pool, 3_600),
        )


class TestPostgresStores(StoresContract):
    @pytest.fixture
    async def stores(self, postgres_database: str) -> AsyncIterator[Stores]:
        async with open_stores(postgres_database) as stores:
            yield stores
