"""Migrations against a real server."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from shared.errors.base import FailedPrecondition
from shared.postgres import migrations
from shared.postgres.migrations import load_migrations, migrate
from shared.postgres.pool import open_pool

Write = Callable[..., str]
FIRST = "CREATE TABLE shop.products (id text PRIMARY KEY);\nINSERT INTO shop.products VALUES ('p-1');"
SECOND = "ALTER TABLE shop.products ADD COLUMN title text;"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a package of migrations and returns its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / f"pkg_{tmp_path.name}" / "shop" / "migrations"
    folder.mkdir(parents=True)
    package = f"pkg_{tmp_path.name}.shop.migrations"
    for name in list(sys.modules):
        if name.startswith(f"pkg_{tmp_path.name}"):
            del sys.modules[name]

    def write_files(**files: str) -> str:
        for old in folder.glob("*.sql"):
            old.unlink()
        for name, text in files.items():
            (folder / f"{name.removeprefix('m')}.sql").write_text(text)
        return package

    return write_files


async def rows(pool: AsyncConnectionPool, query: str) -> list[tuple[object, ...]]:
    async with pool.connection() as connection:
        return await (await connection.execute(query)).fetchall()


async def test_files_are_applied_once_in_order(postgres_database: str, write: Write) -> None:
    async with open_pool(postgres_database) as pool:
        package = write(m0002_title=SECOND, m0001_products=FIRST)
        assert await migrate(pool, package) == ["0001_products.sql", "0002_title.sql"]
        assert await migrate(pool, package) == []
        assert await rows(pool, "SELECT id, title FROM shop.products") == [("p-1", None)]
        assert await rows(pool, "SELECT number, name FROM shop.schema_migrations ORDER BY 1") == [
            (1, "0001_products.sql"),
            (2, "0002_title.sql"),
        ]


async def test_processes_that_start_together_apply_once(postgres_database: str, write: Write) -> None:
    package = write(m0001_products=FIRST, m0002_title=SECOND)
    async with open_pool(postgres_database) as one, open_pool(postgres_database) as two:
        applied = await asyncio.gather(migrate(one, package), migrate(two, package), migrate(one, package))
        assert sorted(len(names) for names in applied) == [0, 0, 2]
        assert await rows(one, "SELECT count(*) FROM shop.products") == [(1,)]


async def test_a_file_that_fails_leaves_nothing(postgres_database: str, write: Write) -> None:
    async with open_pool(postgres_database) as pool:
        with pytest.raises(psycopg.errors.UndefinedTable):
            await migrate(pool, write(m0001_products=FIRST, m0002_bad="CREATE TABLE shop.t (a int); SELECT * FROM x;"))
        assert await rows(pool, "SELECT number FROM shop.schema_migrations") == [(1,)]
        assert await rows(pool, "SELECT to_regclass('shop.t')") == [(None,)]
        assert await migrate(pool, write(m0001_products=FIRST, m0002_good=SECOND)) == ["0002_good.sql"]


async def test_a_changed_file_is_refused(postgres_database: str, write: Write) -> None:
    async with open_pool(postgres_database) as pool:
        await migrate(pool, write(m0001_products=FIRST))
        with pytest.raises(FailedPrecondition, match=r"0001_products\.sql was changed"):
            await migrate(pool, write(m0001_products=FIRST + "\n-- more"))


async def test_a_file_that_is_gone_is_refused(postgres_database: str, write: Write) -> None:
    async with open_pool(postgres_database) as pool:
        await migrate(pool, write(m0001_products=FIRST, m0002_title=SECOND))
        with pytest.raises(FailedPrecondition, match="is gone"):
            await migrate(pool, write(m0002_title=SECOND))


async def test_an_older_release_runs_beside_a_newer_schema(postgres_database: str, write: Write) -> None:
    async with open_pool(postgres_database) as pool:
        await migrate(pool, write(m0001_products=FIRST, m0002_title=SECOND))
        assert await migrate(pool, write(m0001_products=FIRST)) == []


async def test_the_connection_is_given_back_as_it_was(postgres_database: str, write: Write) -> None:
    async with open_pool(postgres_database, max_size=1, statement_timeout_seconds=9) as pool:
        await migrate(pool, write(m0001_products=FIRST))
        assert await rows(pool, "SELECT current_setting('statement_timeout')") == [("9s",)]
        async with pool.connection() as connection:
            assert not connection.autocommit


def test_bad_names_are_refused(write: Write) -> None:
    with pytest.raises(FailedPrecondition, match="NNNN_name"):
        load_migrations(write(products=FIRST))
    with pytest.raises(FailedPrecondition, match="same number"):
        load_migrations(write(m0001_a=FIRST, m0001_b=SECOND))


async def test_a_migration_that_must_wait_holds_up_nobody(
    postgres_database: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_SECONDS", 0.2)
    monkeypatch.setattr(migrations, "_LOCK_PAUSE_SECONDS", 0.05)
    async with open_pool(postgres_database) as pool:
        await migrate(pool, write(m0001_products=FIRST))
        package = write(m0001_products=FIRST, m0002_title=SECOND)
        async with pool.connection() as report:
            await report.execute("SELECT count(*) FROM shop.products")  # holds its lock until the end of the block
            migrating = asyncio.create_task(migrate(pool, package))
            for _ in range(5):
                async with asyncio.timeout(5), pool.connection() as caller:
                    await caller.execute("UPDATE shop.products SET id = id")
            assert not migrating.done()
        assert await migrating == ["0002_title.sql"]


async def test_a_migration_that_never_gets_its_lock_says_so(
    postgres_database: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_SECONDS", 0.05)
    monkeypatch.setattr(migrations, "LOCK_ATTEMPTS", 2)
    monkeypatch.setattr(migrations, "_LOCK_PAUSE_SECONDS", 0.0)
    async with open_pool(postgres_database) as pool:
        await migrate(pool, write(m0001_products=FIRST))
        package = write(m0001_products=FIRST, m0002_title=SECOND)
        async with pool.connection() as report:
            await report.execute("SELECT count(*) FROM shop.products")
            with pytest.raises(FailedPrecondition, match="'0002_title.sql' got no lock in 2 attempts"):
                await migrate(pool, package)
