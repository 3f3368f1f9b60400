"""`python -m services.gateway.keys create|list|rotate|revoke`: API keys, straight in the gateway's database.

For the operator of the machine: makes the first key, which turns the check on without a restart, and keys of any
tenant. Prints the contract's JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import datetime
from typing import Any

from psycopg import OperationalError

from services.gateway.access.audit import AuditLog
from services.gateway.access.caller import Caller
from services.gateway.access.keys import ApiKey, NewKey
from services.gateway.access.known_keys import KeyTimes, KnownKeys
from services.gateway.access.manage_keys import DEFAULT_OVERLAP_SECONDS, ManageKeys
from services.gateway.access.ports import MACHINE
from services.gateway.access.scopes import ALL, NAMES
from services.gateway.adapters.postgres_audit import PostgresAudit
from services.gateway.adapters.postgres_keys import PostgresKeys
from services.gateway.settings import GatewaySettings
from shared.context.request import DEFAULT_TENANT, is_tenant
from shared.errors.base import MercatoError
from shared.postgres.migrations import migrate
from shared.postgres.pool import PoolTimeout, open_pool

MOST_LISTED = 10_000
WAIT_SECONDS = 5.0


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; what is wrong is one line on standard error."""
    options = _parser().parse_args(arguments)
    try:
        if not is_tenant(options.tenant):
            raise ValueError(f"not a tenant id: {options.tenant!r}")
        done = asyncio.run(_run(options))
    except (ValueError, MercatoError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except (OperationalError, PoolTimeout):
        sys.stderr.write(
            "error: the database cannot be reached: is MERCATO_POSTGRES_DSN right, or the suite running?\n"
        )
        return 1
    sys.stdout.write(json.dumps(done, indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Manage API keys in the gateway's database.")
    parser.add_argument("--tenant", default=DEFAULT_TENANT)
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="make a key; its secret is shown once")
    create.add_argument("name")
    create.add_argument("--scope", action="append", choices=NAMES, help="may be repeated; default: read and write")
    create.add_argument("--seconds", type=float, help="how long it is valid; default: until it is revoked")
    commands.add_parser("list", help="list keys").add_argument("--all", action="store_true", help="ended ones too")
    rotate = commands.add_parser("rotate", help="make another secret; the one of before ends after the overlap")
    rotate.add_argument("key_id")
    rotate.add_argument("--overlap-seconds", type=float, default=DEFAULT_OVERLAP_SECONDS)
    commands.add_parser("revoke", help="end a key").add_argument("key_id")
    return parser


async def _run(options: argparse.Namespace) -> Any:
    """Opens the database, brings the schema up to date, acts and writes the act down."""
    settings = GatewaySettings()
    async with open_pool(
        settings.postgres_dsn, max_size=2, application_name="mercato-keys", start_timeout_seconds=WAIT_SECONDS
    ) as pool:
        await migrate(pool, "services.gateway.migrations")
        store = PostgresKeys(pool)
        manage = ManageKeys(store, KnownKeys(store, KeyTimes()))
        if options.command == "list":
            found = await manage.list(options.tenant, None, MOST_LISTED, ended=options.all)
            return {"keys": [_shown(key) for key in found]}
        action, target = f"OperationsService/{options.command.capitalize()}ApiKey", getattr(options, "key_id", "")
        async with AuditLog(PostgresAudit(pool)).by_machine(options.tenant, action, target or options.name):
            return await _act(manage, options)


async def _act(manage: ManageKeys, options: argparse.Namespace) -> Any:
    caller = Caller(MACHINE, options.tenant, ALL)
    if options.command == "create":
        scopes = tuple(dict.fromkeys(options.scope or ("read", "write")))
        key, secret = await manage.create(
            caller, NewKey(options.tenant, options.name, scopes, MACHINE, options.seconds)
        )
        return {"key": _shown(key), "secret": secret}
    if options.command == "rotate":
        rotated = await manage.rotate(caller, options.tenant, options.key_id, options.overlap_seconds)
        ends = rotated.previous_ends.isoformat()
        return {"key": _shown(rotated.key), "secret": rotated.secret, "previous_secret_expire_time": ends}
    return {"key": _shown(await manage.revoke(options.tenant, options.key_id))}


def _shown(key: ApiKey) -> dict[str, Any]:
    """The key in the form of the contract's JSON."""
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": list(key.scopes),
        "create_time": _time(key.create_time),
        "created_by": key.created_by,
        "expire_time": _time(key.expire_time),
        "revoke_time": _time(key.revoke_time),
        "last_used_time": _time(key.last_used_time),
        "secret_count": key.secret_count,
    }


def _time(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


if __name__ == "__main__":
    sys.exit(main())
