"""An upgrade and a rollback on one PostgreSQL: the version before serves while the schema is migrated, and after.

Once with the code of today and a schema that grows everywhere, once with the real code of the version before.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import grpc
import psycopg
import pytest
from mercato.gateway.v1 import (
    operations_service_pb2,
    product_service_pb2,
    profile_service_pb2,
    user_event_service_pb2,
)
from psycopg.conninfo import make_conninfo

from shared.postgres.__main__ import packages
from shared.postgres.migrations import load_migrations, migrate
from shared.postgres.pool import open_pool
from tests.e2e.shop import RETURNS, Shop, products, purchase, until
from tests.suites.background_suite import BackgroundSuite, embedded
from tests.suites.earlier_code import PROJECT, code_of_the_version_before, migrations
from tests.suites.replica import Replica, free_address

OWNERS = ("catalog", "profile", "support", "trainer", "gateway")
"""Services that keep something in PostgreSQL, and the door to them."""
SECRETS = {
    "MERCATO_GATEWAY_TOKEN_KEY": "11" * 32,
    "MERCATO_PROFILE_PSEUDONYM_KEY": "22" * 32,
    "MERCATO_PROFILE_RECEIPT_KEY": "33" * 32,
}


TABLES = """
    SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'schema_migrations'
"""


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with BackgroundSuite(embedded(tmp_path_factory.mktemp("postgres")), {"postgres"}) as systems:
        yield systems.suite.environment["MERCATO_POSTGRES_DSN"]


@pytest.fixture
def database(dsn: str, request: pytest.FixtureRequest) -> str:
    """A fresh, empty database."""
    name = f"upgrade_{abs(hash(request.node.name))}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return make_conninfo(dsn, dbname=name)


@asynccontextmanager
async def serving(dsn: str, code: Path, folder: Path) -> AsyncIterator[Shop]:
    """All owners from ``code``; encoder, retrieval and ranking are away, which none of them needs to serve."""
    addresses = {name: free_address() for name in (*OWNERS, "encoder", "retrieval", "ranking")}
    environment = {f"MERCATO_{name.upper()}_ADDRESS": address for name, address in addresses.items()}
    environment |= {**SECRETS, "MERCATO_POSTGRES_DSN": dsn, "MERCATO_TRAINER_TRAIN_HOURS": "0"}
    environment["MERCATO_PROFILE_PERSONAL_KEYS"] = str(folder.parent / "personal.json")
    replicas = [Replica(name, addresses[name], folder / name, environment, code) for name in OWNERS]
    try:
        for replica in replicas:
            replica.start()
        await asyncio.gather(*(replica.serving() for replica in replicas))
        async with grpc.aio.insecure_channel(addresses["gateway"]) as channel:
            shop = Shop(channel, "shop")
            await until(lambda: everything(shop, "probe"))
            yield shop
        for replica in reversed(replicas):
            await replica.drained()
    finally:
        for replica in replicas:
            replica.kill()


async def everything(shop: Shop, mark: str) -> bool:
    """Writes and reads what every owner keeps, under names of ``mark``. Raises AioRpcError and AssertionError."""
    items = products()
    for item in items:
        item.product_id = f"{mark}-{item.product_id}"
    imported = await shop.import_products(items)
    assert not imported[-1].rejected, imported
    got = await shop.call(shop.products.GetProduct, product_service_pb2.GetProductRequest(product_id=f"{mark}-dairy-0"))
    assert got.product.title == "Whole milk"
    events = [purchase(f"{mark}-{n}", f"{mark}-user", [f"{mark}-dairy-{n}"], 1 + n) for n in range(3)]
    written = await shop.write(events)
    assert written.accepted_count + written.duplicate_count == 3, written
    await shop.import_document(f"{mark}-returns", "Returns", RETURNS)
    await has_everything(shop, mark)
    return True


async def has_everything(shop: Shop, mark: str) -> None:
    """What ``everything`` wrote is there, to the last event."""
    found = await shop.call(
        shop.products.BatchGetProducts,
        product_service_pb2.BatchGetProductsRequest(product_ids=[f"{mark}-{item.product_id}" for item in products()]),
    )
    assert len(found.products) == len(products())
    profile = await shop.call(
        shop.profiles.GetUserProfile, profile_service_pb2.GetUserProfileRequest(user_id=f"{mark}-user")
    )
    assert profile.profile.event_count == 3, profile
    request = user_event_service_pb2.ExportUserDataRequest(user_id=f"{mark}-user")
    exported = [part async for part in shop.events.ExportUserData(request, metadata=shop.metadata)]
    assert sum(len(part.events) for part in exported) == 3
    await shop.call(shop.operations.ListReleases, operations_service_pb2.ListReleasesRequest())


async def migrated(dsn: str) -> None:
    """What the chart's hook runs, from the code of today."""
    job = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shared.postgres", "migrate"),
        cwd=PROJECT,
        env={**os.environ, "MERCATO_POSTGRES_DSN": dsn},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(job.communicate(), 120)
    assert job.returncode == 0, output.decode()


async def expanded(dsn: str, folder: Path) -> None:
    """A next version's migrations: every table of every schema gets a column, an index on it, and a neighbour."""
    async with open_pool(dsn) as pool:
        for package in packages():
            schema = package.split(".")[1]
            target = folder / f"next_{schema}"
            target.mkdir(parents=True)
            for known in load_migrations(package):
                (target / known.name).write_text(known.text)
            async with pool.connection() as connection:
                tables = await (await connection.execute(TABLES, [schema])).fetchall()
            assert tables
            changes = [f"ALTER TABLE {name} ADD COLUMN next_version text NOT NULL DEFAULT '';\n" for (name,) in tables]
            changes += [f"CREATE TABLE {schema}.next_version (id bigint PRIMARY KEY);\n"]
            (target / "9999_next_version.sql").write_text("".join(changes))
            assert await migrate(pool, target.name, schema=schema) == ["9999_next_version.sql"]


class Traffic:
    """Calls to a shop until the end of the block; a failed one is raised there."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.marks: list[str] = []
        self._ended = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        await self._task

    async def _run(self) -> None:
        while not self._ended.is_set():
            self.marks.append(f"during-{len(self.marks)}")
            await everything(self._shop, self.marks[-1])


async def test_code_serves_while_the_next_version_migrates_and_starts_on_its_schema(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "next"))
    await migrated(database)
    async with serving(database, PROJECT, tmp_path / "before") as shop:
        async with Traffic(shop) as traffic:
            await until(lambda: asyncio.sleep(0, bool(traffic.marks[1:])))
            await expanded(database, tmp_path / "next")
        await everything(shop, "after")
        await shop.train()
    async with serving(database, PROJECT, tmp_path / "rolled-back") as shop:
        for mark in (*traffic.marks, "after"):
            await has_everything(shop, mark)
        await everything(shop, "rolled-back")


async def test_the_code_of_the_version_before_serves_before_during_and_after_it(database: str, tmp_path: Path) -> None:
    before = code_of_the_version_before(tmp_path / "before")
    assert migrations(before) <= migrations(PROJECT), "an applied file is never taken away"
    async with serving(database, before, tmp_path / "old") as old:
        release = await old.train()
        async with Traffic(old) as traffic:
            await migrated(database)
        await everything(old, "old-code-new-schema")
        async with serving(database, PROJECT, tmp_path / "new") as new:
            for mark in (*traffic.marks, "old-code-new-schema"):
                await has_everything(new, mark)
            listed = await new.call(new.operations.ListReleases, operations_service_pb2.ListReleasesRequest())
            assert release.release_id in {one.release_id for one in listed.releases}
            await everything(new, "new-code")
            await everything(old, "beside-new-code")
            await has_everything(old, "new-code")
            await has_everything(new, "beside-new-code")
    async with serving(database, before, tmp_path / "rolled-back") as back:
        await has_everything(back, "new-code")
        await everything(back, "rolled-back")
