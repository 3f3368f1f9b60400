"""`python -m services.gateway.keys create|list|revoke`: manages API keys.

The first key turns the check on, without a restart.
"""

from __future__ import annotations

import argparse
import json
import sys

from services.gateway.api_keys import SCOPES, ApiKeyFile
from services.gateway.settings import GatewaySettings
from shared.context.request import DEFAULT_TENANT, is_tenant


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; prints JSON."""
    parser = argparse.ArgumentParser(description="Manage API keys.")
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="make a key; it is shown once")
    create.add_argument("name")
    create.add_argument("--tenant", default=DEFAULT_TENANT)
    create.add_argument("--scope", action="append", choices=SCOPES, help="may be repeated; default: read and write")
    commands.add_parser("list", help="list keys, without the keys themselves")
    commands.add_parser("revoke", help="remove a key").add_argument("name")
    options = parser.parse_args(arguments)
    keys = ApiKeyFile(GatewaySettings().api_keys_file)
    try:
        sys.stdout.write(json.dumps(_run(keys, options), indent=1) + "\n")
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _run(keys: ApiKeyFile, options: argparse.Namespace) -> object:
    if options.command == "create":
        if not is_tenant(options.tenant):
            raise ValueError(f"not a tenant id: {options.tenant!r}")
        scopes = tuple(dict.fromkeys(options.scope or ("read", "write")))
        key = keys.create(options.name, options.tenant, scopes)
        return {"name": options.name, "tenant": options.tenant, "scopes": scopes, "key": key}
    if options.command == "revoke":
        keys.revoke(options.name)
        return {"revoked": options.name}
    return [
        {"name": key.name, "tenant": key.tenant, "scopes": key.scopes, "create_time_s": key.create_time_s}
        for key in keys.all()
    ]


if __name__ == "__main__":
    sys.exit(main())
