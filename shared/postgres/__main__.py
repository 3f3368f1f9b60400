"""`python -m shared.postgres migrate|status`: brings the schemas of all services up to date, or says what is missing.

Reads MERCATO_POSTGRES_DSN. Safe to run twice, and by several processes at once. Ends with 0; 1: the database cannot be
reached or an applied file was changed; 3, of `status`: files are missing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from importlib import resources
from typing import Any

from psycopg import sql

from shared.errors.base import MercatoError
from shared.postgres.migrations import load_migrations, migrate
from shared.postgres.pool import open_pool

ROOT = "services"
FAILED, MISSING = 1, 3


def packages() -> list[str]:
    """Packages with migrations, one a schema: `services.<name>.migrations`."""
    folders = resources.files(ROOT).iterdir()
    return sorted(f"{ROOT}.{one.name}.migrations" for one in folders if one.joinpath("migrations").is_dir())


async def _migrate(dsn: str) -> int:
    async with open_pool(dsn, max_size=2, application_name="mercato-migrate") as pool:
        for package in packages():
            applied = await migrate(pool, package)
            _say(f"{package.split('.')[1]}: {', '.join(applied) if applied else 'up to date'}")
    return 0


async def _status(dsn: str) -> int:
    missing = 0
    async with open_pool(dsn, max_size=1, application_name="mercato-migrate") as pool:
        for package in packages():
            schema = package.split(".")[1]
            recorded = await _recorded(pool, schema)
            lacking = [one.name for one in load_migrations(package) if one.number not in recorded]
            missing += len(lacking)
            _say(f"{schema}: {'missing ' + ', '.join(lacking) if lacking else 'up to date'}")
    return MISSING if missing else 0


async def _recorded(pool: Any, schema: str) -> set[int]:
    table = f"{schema}.schema_migrations"
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table])
        if not (await cursor.fetchone())[0]:
            return set()
        query = sql.SQL("SELECT number FROM {}").format(sql.Identifier(schema, "schema_migrations"))
        return {number for (number,) in await (await connection.execute(query)).fetchall()}


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m shared.postgres", description=__doc__)
    parser.add_argument("command", choices=("migrate", "status"))
    command = parser.parse_args(arguments).command
    dsn = os.environ.get("MERCATO_POSTGRES_DSN", "")
    if not dsn:
        sys.stderr.write("error: MERCATO_POSTGRES_DSN is not set: name the database, as postgresql://user@host/name\n")
        return FAILED
    try:
        return asyncio.run(_migrate(dsn) if command == "migrate" else _status(dsn))
    except MercatoError as error:
        sys.stderr.write(f"error: {error}\n")
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
