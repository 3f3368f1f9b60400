"""docs/privacy.md names every table that the migrations make: a new one must be said to be of people or not."""

from __future__ import annotations

import re
from pathlib import Path

from shared.postgres.migrations import migrate
from shared.postgres.pool import open_pool

PAGE = Path(__file__).parents[3] / "docs" / "privacy.md"
SERVICES = ("catalog", "profile", "support", "trainer", "gateway")


async def test_every_table_is_in_the_list(postgres_database: str) -> None:
    async with open_pool(postgres_database) as pool:
        for service in SERVICES:
            await migrate(pool, f"services.{service}.migrations")
        async with pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT table_schema || '.' || table_name FROM information_schema.tables"
                " WHERE table_schema = ANY(%s) AND table_type = 'BASE TABLE'",
                (list(SERVICES),),
            )
            tables = {row[0] for row in await cursor.fetchall()}
    listed = set(re.findall(r"^\| `([a-z_]+\.[a-z_*]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    made = {name for name in tables if not name.endswith("schema_migrations") and not re.search(r"events_\d{6}$", name)}
    missing = {name for name in made if name not in listed and f"{name.partition('.')[0]}.*" not in listed}
    assert not missing, f"say in docs/privacy.md what these hold: {sorted(missing)}"
    gone = {name for name in listed if "*" not in name and name not in made}
    assert not gone, f"docs/privacy.md names tables that are not there: {sorted(gone)}"
