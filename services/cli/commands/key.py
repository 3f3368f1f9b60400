"""``mercato key``: API keys, through the gateway or, for the first one, straight in its database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from google.protobuf.json_format import ParseDict
from mercato.gateway.v1 import api_key_pb2 as pb

from services.cli.client import Gateway, with_gateway
from services.cli.errors import CliError
from services.cli.output import console, show_json, table
from services.cli.settings import CliSettings, data_folder, settings_of
from services.supervisor.adapters.data_folder import read_environment
from services.supervisor.errors import SupervisorError

DAY_SECONDS = 86_400
Direct = Annotated[
    bool, typer.Option("--direct", help="In the database of the suite on this machine: for the first key, needs none.")
]
Data = Annotated[
    Path | None, typer.Option(help="With --direct: the suite's data folder; default MERCATO_DATA, ./data.")
]
KeyId = Annotated[str, typer.Argument(help="The key's id.")]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(
        help="Manage API keys; the first one turns the check on.", no_args_is_help=True, rich_markup_mode=None
    )
    group.command("create")(create)
    group.command("list")(list_keys)
    group.command("rotate")(rotate)
    group.command("revoke")(revoke)
    app.add_typer(group, name="key")


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="As in the contract, or read, write, operate; may be repeated.")
    ] = None,
    days: Annotated[float | None, typer.Option(min=0.001, help="How long it is valid; default: until revoked.")] = None,
    direct: Direct = False,
    data: Data = None,
) -> None:
    """Make a key; it is shown once. Default scopes: read and write."""
    settings, scopes = settings_of(context), list(dict.fromkeys(scope or ("read", "write")))
    seconds = None if days is None else round(days * DAY_SECONDS)
    if direct:
        options = [part for each in scopes for part in ("--scope", each)]
        options += [] if seconds is None else ["--seconds", str(seconds)]
        made = ParseDict(_direct(settings, data, "create", *options, "--", name), pb.CreateApiKeyResponse())
    else:
        request = pb.CreateApiKeyRequest(name=name, scopes=scopes)
        if seconds is not None:
            request.lifetime.FromSeconds(seconds)
        made = with_gateway(settings, lambda gateway: gateway.call(gateway.operations.CreateApiKey, request))
    _show_secret(settings, made, made.key, made.secret)


def list_keys(
    context: typer.Context,
    ended: Annotated[bool, typer.Option("--all", help="Also revoked and expired keys.")] = False,
    direct: Direct = False,
    data: Data = None,
) -> None:
    """List keys, newest first, without their secrets."""
    settings = settings_of(context)
    if direct:
        found = ParseDict(_direct(settings, data, "list", *(["--all"] if ended else [])), pb.ListApiKeysResponse())
    else:
        found = with_gateway(settings, lambda gateway: _all_pages(gateway, ended))
    if settings.json:
        show_json(found)
        return
    rows = [
        (
            key.key_id,
            key.name,
            ", ".join(key.scopes),
            _when(key, "create_time"),
            _when(key, "last_used_time"),
            _when(key, "expire_time"),
            _when(key, "revoke_time"),
            key.created_by,
        )
        for key in found.keys
    ]
    columns = ("id", "name", "scopes", "made", "used", "expires", "revoked", "by")
    console().print(table("API keys", columns, rows) if rows else "no keys")


def rotate(
    context: typer.Context,
    key_id: KeyId,
    overlap_hours: Annotated[float, typer.Option(min=0, help="How long the secret of before stays valid.")] = 24.0,
    direct: Direct = False,
    data: Data = None,
) -> None:
    """Give a key a new secret; it is shown once."""
    settings, seconds = settings_of(context), round(overlap_hours * 3600)
    if direct:
        answer = _direct(settings, data, "rotate", "--overlap-seconds", str(seconds), "--", key_id)
        made = ParseDict(answer, pb.RotateApiKeyResponse())
    else:
        request = pb.RotateApiKeyRequest(key_id=key_id)
        request.overlap.FromSeconds(seconds)
        made = with_gateway(settings, lambda gateway: gateway.call(gateway.operations.RotateApiKey, request))
    _show_secret(settings, made, made.key, made.secret)
    if not settings.json:
        console().print(f"The secret of before ends at {_when(made, 'previous_secret_expire_time')}.", markup=False)


def revoke(context: typer.Context, key_id: KeyId, direct: Direct = False, data: Data = None) -> None:
    """End a key, within seconds everywhere."""
    settings = settings_of(context)
    if direct:
        gone = ParseDict(_direct(settings, data, "revoke", "--", key_id), pb.RevokeApiKeyResponse())
    else:
        request = pb.RevokeApiKeyRequest(key_id=key_id)
        gone = with_gateway(settings, lambda gateway: gateway.call(gateway.operations.RevokeApiKey, request))
    if settings.json:
        show_json(gone)
    else:
        console().print(f"revoked: {gone.key.name} ({gone.key.key_id})", markup=False)


async def _all_pages(gateway: Gateway, ended: bool) -> pb.ListApiKeysResponse:
    found, token = pb.ListApiKeysResponse(), ""
    while True:
        request = pb.ListApiKeysRequest(page_size=200, page_token=token, include_ended=ended)
        page = await gateway.call(gateway.operations.ListApiKeys, request)
        found.keys.extend(page.keys)
        token = page.next_page_token
        if not token:
            return found


def _show_secret(settings: CliSettings, answer: Any, key: pb.ApiKey, secret: str) -> None:
    if settings.json:
        show_json(answer)
        return
    out = console()
    out.print(f"{key.name} ({key.key_id}; {', '.join(key.scopes)}):", markup=False)
    out.print(secret, markup=False, soft_wrap=True)
    out.print(
        "It is not shown again. Send it with --api-key or MERCATO_API_KEY: every call needs one now.", style="dim"
    )


def _when(message: Any, field: str) -> str:
    """The time in UTC to the minute; empty when there is none."""
    return getattr(message, field).ToDatetime().strftime("%Y-%m-%d %H:%M") if message.HasField(field) else ""


def _direct(settings: CliSettings, data: Path | None, *arguments: str) -> Any:
    """The gateway's own command, in a process of its own: the rooms do not import each other. Its answer's JSON."""
    folder = data_folder(data).absolute()
    environment = {**os.environ, "MERCATO_DATA": str(folder)}
    if not environment.get("MERCATO_POSTGRES_DSN"):
        try:
            environment |= read_environment(folder)
        except SupervisorError as error:
            raise CliError(
                f"{error}; name its folder with --data, or its database with MERCATO_POSTGRES_DSN"
            ) from error
    tenant = ["--tenant", settings.tenant] if settings.tenant else []
    command = [sys.executable, "-m", "services.gateway.keys", *tenant, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["the gateway's key command failed"]
        raise CliError(lines[-1].removeprefix("error: "))
    return orjson.loads(done.stdout)
