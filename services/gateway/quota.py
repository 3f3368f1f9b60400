"""`python -m services.gateway.quota set|remove|list`: quotas of single tenants and keys, in the gateways' database.

Every gateway follows within seconds; what is not set stays as configured. Changes are acts of the audit log.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from services.gateway.limits.ports import OverrideStore
from services.gateway.limits.quota import Override
from services.gateway.limits.wiring import open_overrides
from services.gateway.settings import GatewaySettings
from shared.context.request import is_tenant
from shared.errors.base import MercatoError


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; prints JSON."""
    parser = argparse.ArgumentParser(description="Manage quotas.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list what differs from the configured quotas")
    for name, text in (
        ("set", "set the quota of a tenant, or of one key of it"),
        ("remove", "go back to what is configured"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("tenant")
        command.add_argument("--key", default="", help="id of an API key; without it: the whole tenant")
        if name == "set":
            command.add_argument("--per-second", type=float, help="tokens a second; 0: no limit")
            command.add_argument("--burst", type=float, help="tokens that can be saved up")
            command.add_argument("--at-once", type=int, help="calls at once in one gateway; 0: no limit")
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(json.dumps(asyncio.run(_run(options)), indent=1) + "\n")
    except (ValueError, MercatoError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


async def _run(options: argparse.Namespace) -> object:
    if options.command != "list" and not is_tenant(options.tenant):
        raise ValueError(f"not a tenant id: {options.tenant!r}")
    override = _override(options) if options.command == "set" else None
    async with open_overrides(GatewaySettings()) as (store, log):
        if options.command == "list":
            found = await store.all()
            return [
                {"tenant": tenant, "actor": actor, "per_second": o.per_second, "burst": o.burst, "at_once": o.at_once}
                for (tenant, actor), o in sorted(found.items())
            ]
        actor = f"key:{options.key}" if options.key else ""
        action = f"Quota/{options.command.capitalize()}"
        async with log.by_machine(options.tenant, action, actor or options.tenant):
            return await _change(store, options.tenant, actor, override)


async def _change(store: OverrideStore, tenant: str, actor: str, override: Override | None) -> object:
    if override is None:
        return {"removed": await store.remove(tenant, actor)}
    await store.put(tenant, actor, override)
    return {"tenant": tenant, "actor": actor, "per_second": override.per_second, "burst": override.burst}


def _override(options: argparse.Namespace) -> Override:
    for name, least in (("per_second", 0), ("burst", 1), ("at_once", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise ValueError(f"--{name.replace('_', '-')}: {value:g} is below {least}")
    return Override(options.per_second, options.burst, options.at_once)


if __name__ == "__main__":
    sys.exit(main())
