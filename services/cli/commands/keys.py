"""``mercato keys``: API keys of a suite on this machine, through the gateway's own module."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from services.cli.errors import CliError
from services.cli.output import console, table
from services.cli.settings import data_folder, settings_of

Data = Annotated[Path | None, typer.Option(help="The suite's data folder; default MERCATO_DATA, else ./data.")]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(
        help="Manage API keys; the first one turns the check on.", no_args_is_help=True, rich_markup_mode=None
    )
    group.command("create")(create)
    group.command("list")(list_keys)
    group.command("revoke")(revoke)
    app.add_typer(group, name="keys")


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[list[str] | None, typer.Option(help="read, write or operate; may be repeated.")] = None,
    data: Data = None,
) -> None:
    """Make a key; it is shown once. Its tenant is that of --tenant."""
    settings = settings_of(context)
    options = [part for each in scope or () for part in ("--scope", each)]
    if settings.tenant:
        options += ["--tenant", settings.tenant]
    made = _run(data, "create", *options, "--", name)
    if settings.json:
        _print_json(made)
        return
    out = console()
    out.print(f"{made['name']} ({made['tenant']}; {', '.join(made['scopes'])}):", markup=False)
    out.print(made["key"], markup=False, soft_wrap=True)
    out.print("It is not shown again. From now on every call needs a key: --api-key or MERCATO_API_KEY.", style="dim")


def list_keys(context: typer.Context, data: Data = None) -> None:
    """List keys, without the keys themselves."""
    found = _run(data, "list")
    if settings_of(context).json:
        _print_json(found)
        return
    rows = [(key["name"], key["tenant"], ", ".join(key["scopes"])) for key in found]
    console().print(
        table("API keys", ("name", "tenant", "scopes"), rows) if rows else "no keys: every caller is let in"
    )


def revoke(
    context: typer.Context, name: Annotated[str, typer.Argument(help="The key's name.")], data: Data = None
) -> None:
    """Remove a key."""
    gone = _run(data, "revoke", "--", name)
    if settings_of(context).json:
        _print_json(gone)
    else:
        console().print(f"revoked: {name}", markup=False)


def _run(data: Path | None, *arguments: str) -> Any:
    """The gateway's module in a process of its own: the rooms do not import each other."""
    environment = {**os.environ, "MERCATO_DATA": str(data_folder(data).absolute())}
    command = [sys.executable, "-m", "services.gateway.keys", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["the gateway's key module failed"]
        raise CliError(lines[-1].removeprefix("error: "))
    return orjson.loads(done.stdout)


def _print_json(value: Any) -> None:
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
