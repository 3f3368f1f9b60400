"""`python -m services.profile.release_quarantine`: takes one person's events out of quarantine.

The person is exempt from the robot rules from then on. Prints how many events were released.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from services.profile.adapters.postgres_privacy import find_person
from services.profile.adapters.sealed_ids import SealedIds
from services.profile.settings import ProfileSettings
from shared.context.request import DEFAULT_TENANT
from shared.postgres.pool import open_pool
from shared.privacy.key_ring import KeyRing


async def release(settings: ProfileSettings, tenant: str, user_id: str, visitor_id: str) -> int:
    """The number of events released; 0 for an unknown person. Raises Unavailable."""
    ids = SealedIds(KeyRing(settings.personal_keys_file))
    async with open_pool(settings.postgres_dsn, max_size=1) as pool, pool.connection() as connection:
        person_no = await find_person(connection, ids, tenant, (user_id, visitor_id))
        if person_no is None:
            return 0
        cursor = await connection.execute("SELECT profile.release_person(%s, %s)", (tenant, person_no))
        row = await cursor.fetchone()
        return int(row[0]) if row else 0


def main(arguments: list[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(description="Take one person's events out of quarantine.")
    parser.add_argument("--tenant", default=DEFAULT_TENANT)
    person = parser.add_mutually_exclusive_group(required=True)
    person.add_argument("--user", default="")
    person.add_argument("--visitor", default="")
    options = parser.parse_args(arguments)
    released = asyncio.run(release(ProfileSettings(), options.tenant, options.user, options.visitor))
    sys.stdout.write(f"{released} events released\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
