"""Numbered SQL migrations of one schema, applied in order, once, also when several processes start together.

Files ``NNNN_name.sql`` lie in a package (``services.catalog.migrations``); the schema is named like the
service. Each file runs in a transaction of its own, together with the row that records it in
``<schema>.schema_migrations``. An applied file must not change any more: its checksum is compared.

The version before goes on serving meanwhile: a file waits only a moment for a lock, since everybody who comes later
waits behind it, and is tried again. What its statements may be is checked by ``tests/unit/architecture``.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.errors import LockNotAvailable
from psycopg_pool import AsyncConnectionPool

from shared.errors.base import FailedPrecondition
from shared.telemetry.logs import logger

_log = logger("migrations")
_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
LOCK_SECONDS = 2.0
"""A file waits so long for a lock: as long as calls may stand still behind it."""
LOCK_ATTEMPTS = 60
_LOCK_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file's text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def load_migrations(package: str) -> list[Migration]:
    """The migrations in ``package``, in order. Raises FailedPrecondition for doubled numbers or bad names."""
    found = []
    for entry in resources.files(package).iterdir():
        if not entry.name.endswith(".sql"):
            continue
        match = _FILE_NAME.fullmatch(entry.name)
        if not match:
            raise FailedPrecondition(f"migration {entry.name!r} is not named NNNN_name.sql")
        found.append(Migration(int(match[1]), entry.name, entry.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.number)
    for earlier, later in pairwise(found):
        if earlier.number == later.number:
            raise FailedPrecondition(f"migrations {earlier.name!r} and {later.name!r} have the same number")
    return found


async def migrate(pool: AsyncConnectionPool, package: str, *, schema: str = "") -> list[str]:
    """Brings the schema up to date and returns the names of the files applied now.

    ``schema`` defaults to the service in ``package``. Waits for another process that is migrating the same
    schema. Raises FailedPrecondition when an applied file was changed or removed.
    """
    schema = schema or package.split(".")[-2]
    migrations = load_migrations(package)
    async with pool.connection() as connection:
        await connection.set_autocommit(True)
        try:
            await connection.execute("SET statement_timeout = 0")
            await connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"migrate {schema}"])
            try:
                return await _apply_missing(connection, schema, migrations)
            finally:
                await connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [f"migrate {schema}"])
                await connection.execute("RESET statement_timeout")
        finally:
            await connection.set_autocommit(False)


async def _apply_missing(connection: AsyncConnection[Any], schema: str, migrations: list[Migration]) -> list[str]:
    """Applies what the schema's record lacks."""
    table = sql.Identifier(schema, "schema_migrations")
    await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
    await connection.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (number integer PRIMARY KEY, name text NOT NULL,"
            " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        ).format(table)
    )
    cursor = await connection.execute(sql.SQL("SELECT number, name, checksum FROM {}").format(table))
    recorded = {number: (name, checksum) for number, name, checksum in await cursor.fetchall()}
    _compare(schema, recorded, migrations)
    applied = []
    for migration in migrations:
        if migration.number not in recorded:
            await _apply_in_time(connection, table, migration)
            applied.append(migration.name)
            _log.info("migration applied", schema=schema, migration=migration.name)
    return applied


async def _apply_in_time(connection: AsyncConnection[Any], table: sql.Identifier, migration: Migration) -> None:
    """Applies one file, again where a running transaction held what it needs. Raises FailedPrecondition."""
    for attempt in range(1, LOCK_ATTEMPTS + 1):
        try:
            return await _apply(connection, table, migration)
        except LockNotAvailable:
            _log.warning("migration waits for a lock", migration=migration.name, attempt=attempt)
        await asyncio.sleep(_LOCK_PAUSE_SECONDS)
    raise FailedPrecondition(
        f"migration {migration.name!r} got no lock in {LOCK_ATTEMPTS} attempts: pg_stat_activity shows the transaction"
        " that holds it"
    )


async def _apply(connection: AsyncConnection[Any], table: sql.Identifier, migration: Migration) -> None:
    """Runs one file and records it, or neither."""
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = {int(LOCK_SECONDS * 1000)}")
        await connection.execute(migration.text)
        await connection.execute(
            sql.SQL("INSERT INTO {} (number, name, checksum) VALUES (%s, %s, %s)").format(table),
            [migration.number, migration.name, migration.checksum],
        )


def _compare(schema: str, recorded: dict[int, tuple[str, str]], migrations: list[Migration]) -> None:
    """Raises when history was rewritten. Newer records are fine: an older release runs beside a newer one."""
    known = {migration.number: migration for migration in migrations}
    for number, (name, checksum) in sorted(recorded.items()):
        migration = known.get(number)
        if migration is None:
            if known and number < max(known):
                raise FailedPrecondition(f"applied migration {schema}/{name} is gone from the code")
            _log.warning("schema is newer than this release", schema=schema, migration=name)
        elif migration.checksum != checksum:
            raise FailedPrecondition(f"applied migration {schema}/{name} was changed; add a new one instead")
