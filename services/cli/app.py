"""The command line: global options and the list of commands."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated

import typer

from services.cli.settings import DEFAULT_ADDRESS, CliSettings

COMMANDS = (
    "up",
    "imports",
    "recommend",
    "search",
    "ask",
    "profile",
    "status",
    "doctor",
    "train",
    "release",
    "experiment",
    "index",
    "key",
    "audit",
    "privacy",
    "bench",
    "bench_load",
    "bench_faults",
    "bench_capacity",
    "evaluate",
)
"""Modules of ``services.cli.commands`` in the order of the help; each has ``register(app)``."""

app = typer.Typer(
    name="mercato",
    help="Search, recommendation and customer service for shops.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def options(
    context: typer.Context,
    address: Annotated[str, typer.Option(envvar="MERCATO_ADDRESS", help="The gateway, host:port.")] = DEFAULT_ADDRESS,
    api_key: Annotated[str, typer.Option(envvar="MERCATO_API_KEY", help="An API key, where keys are on.")] = "",
    tenant: Annotated[str, typer.Option(envvar="MERCATO_TENANT", help="The tenant; empty: the default one.")] = "",
    ca: Annotated[
        str,
        typer.Option(envvar="MERCATO_CA", help="TLS: file with the gateway's issuers, or `system`; empty: plain text."),
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Answers as the contract's JSON.")] = False,
) -> None:
    """Search, recommendation and customer service for shops. Global options may stand anywhere."""
    for name, value in (("--address", address), ("--api-key", api_key), ("--tenant", tenant)):
        if not value.isascii() or not value.isprintable():
            raise typer.BadParameter(f"{name} must hold printable ASCII characters only")
    context.obj = CliSettings(address=address, api_key=api_key, tenant=tenant, ca=ca, json=json)


def _register_all() -> None:
    for name in COMMANDS:
        module = f"services.cli.commands.{name}"
        if find_spec(module) is not None:
            register: Callable[[typer.Typer], None] = import_module(module).register
            register(app)


_register_all()
