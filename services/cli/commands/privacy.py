"""``mercato privacy``: one person's rights over their data, receipts, and how long data is kept."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf import json_format
from mercato.gateway.v1 import privacy_service_pb2 as pb
from mercato.gateway.v1.user_event_service_pb2 import EraseUserDataRequest, ExportUserDataRequest
from rich.console import Console

from services.cli.client import Gateway, with_gateway
from services.cli.errors import CliError
from services.cli.output import console, show_json, table
from services.cli.settings import check_output, settings_of
from shared.privacy.receipt import InvalidReceipt, verify

privacy_app = typer.Typer(
    help="Export and erase one person's data, prove erasures, apply retention.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

User = Annotated[str, typer.Option(help="The customer's account.")]
Visitor = Annotated[str, typer.Option(help="The browser or device.")]
Output = Annotated[Path | None, typer.Option("--output", help="File to write; default: standard output.")]
DONE = pb.ERASURE_STATE_DONE


def register(app: typer.Typer) -> None:
    """Adds the commands; `export-user` and `erase-user` are their earlier names."""
    app.add_typer(privacy_app, name="privacy")
    app.command("export-user", hidden=True)(export)
    app.command("erase-user", hidden=True)(erase)


@privacy_app.command("export")
def export(context: typer.Context, user: User = "", visitor: Visitor = "", output: Output = None) -> None:
    """Write everything that is stored about one person, in every store, as JSON Lines (docs/privacy.md)."""
    _one_of(user, visitor)
    check_output(output)
    request = ExportUserDataRequest(user_id=user, visitor_id=visitor)

    async def work(gateway: Gateway) -> None:
        if output is None:
            async for line in _lines(gateway, request):
                sys.stdout.write(line)
            return
        draft = output.with_name(output.name + ".part")
        with draft.open("w", encoding="utf-8") as file:
            async for line in _lines(gateway, request):
                file.write(line)
        draft.replace(output)

    with_gateway(settings_of(context), work)


@privacy_app.command("erase")
def erase(
    context: typer.Context,
    user: User = "",
    visitor: Visitor = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    output: Output = None,
) -> None:
    """Erase everything that is stored about one person, in every store; the signed receipt goes to --output."""
    _one_of(user, visitor)
    check_output(output)
    settings = settings_of(context)
    if not yes and not typer.confirm(f"Erase all data of {user or visitor}? This cannot be undone.", err=True):
        raise CliError("nothing was erased")

    async def work(gateway: Gateway) -> None:
        request = EraseUserDataRequest(user_id=user, visitor_id=visitor)
        answer = await gateway.call(gateway.events.EraseUserData, request, seconds=300.0)
        _save_receipt(answer.erasure, output)
        if settings.json:
            show_json(answer)
        else:
            _show(console(), answer.erasure)

    with_gateway(settings, work)


@privacy_app.command("receipt")
def receipt(
    context: typer.Context,
    receipt_id: Annotated[str, typer.Argument(help="The id that `mercato privacy erase` showed.")],
    output: Output = None,
) -> None:
    """Show how far an erasure is; its signed receipt, once all stores are done, goes to --output."""
    check_output(output)
    settings = settings_of(context)

    async def work(gateway: Gateway) -> None:
        answer = await gateway.call(gateway.privacy.GetErasure, pb.GetErasureRequest(receipt_id=receipt_id))
        _save_receipt(answer.erasure, output)
        if settings.json:
            show_json(answer)
        else:
            _show(console(), answer.erasure)

    with_gateway(settings, work)


@privacy_app.command("public-key")
def public_key(context: typer.Context) -> None:
    """Write the public key of receipts, a JSON Web Key; keep it where the suite cannot change it."""

    async def work(gateway: Gateway) -> None:
        answer = await gateway.call(gateway.privacy.GetReceiptKey, pb.GetReceiptKeyRequest())
        sys.stdout.write(answer.jwk + "\n")

    with_gateway(settings_of(context), work)


@privacy_app.command("verify-receipt")
def verify_receipt(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="The receipt's file; - for standard input.")],
    key: Annotated[
        Path | None, typer.Option("--public-key", help="The key's file; default: the gateway is asked.")
    ] = None,
) -> None:
    """Check a receipt's signature and show what it says; exit status 1 when it does not hold."""
    text = _read(path)
    found: list[str] = []
    if key is None:

        async def work(gateway: Gateway) -> None:
            answer = await gateway.call(gateway.privacy.GetReceiptKey, pb.GetReceiptKeyRequest())
            found.append(answer.jwk)

        with_gateway(settings_of(context), work)
    else:
        found.append(_read(key))
    try:
        content = verify(text, found[0])
    except InvalidReceipt as error:
        raise CliError(f"not a valid receipt: {error}") from error
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@privacy_app.command("retention")
def retention(
    context: typer.Context,
    apply: Annotated[bool, typer.Option("--apply", help="Remove it now; without it nothing is changed.")] = False,
) -> None:
    """Show what is older than the settings allow. The background removes it within the hour."""
    settings = settings_of(context)

    async def work(gateway: Gateway) -> None:
        request = pb.ApplyRetentionRequest(dry_run=not apply)
        answer = await gateway.call(gateway.privacy.ApplyRetention, request, seconds=600.0)
        if settings.json:
            show_json(answer)
            return
        out = console()
        rows = [
            (one.store, one.kind, f"{one.days:,} days" if one.days else "without limit", f"{one.row_count:,}")
            for one in answer.results
        ]
        columns = ("store", "kind", "kept", "removed" if apply else "would be removed")
        out.print(table("Retention", columns, rows, right=columns[2:]))
        for store in answer.unreachable_stores:
            out.print(f"{store} could not be asked", markup=False)

    with_gateway(settings, work)


@privacy_app.command("rotate-keys")
def rotate_keys(context: typer.Context) -> None:
    """Rotate the keys that seal personal data; everything goes on meanwhile."""
    settings = settings_of(context)

    async def work(gateway: Gateway) -> None:
        async for step in gateway.stream(gateway.privacy.RotateKeys, pb.RotateKeysRequest()):
            if settings.json:
                show_json(step, one_line=True)
            else:
                rows = f": {step.done:,} of {step.total:,} rows" if step.total else ""
                console().print(f"{step.step}{rows}", markup=False)

    with_gateway(settings, work)


async def _lines(gateway: Gateway, request: ExportUserDataRequest) -> AsyncIterator[str]:
    """One line a record: `{"store", "kind", "content"}`."""
    async for part in gateway.stream(gateway.events.ExportUserData, request):
        for visitor_id in part.visitor_ids:
            yield _line("profile", "visitor_id", visitor_id)
        for event in part.events:
            yield _line("profile", "event", json_format.MessageToDict(event))
        for record in part.records:
            yield _line(record.store, record.kind, json_format.MessageToDict(record.content))


def _line(store: str, kind: str, content: Any) -> str:
    return json.dumps({"store": store, "kind": kind, "content": content}, ensure_ascii=False) + "\n"


def _save_receipt(erasure: pb.Erasure, output: Path | None) -> None:
    if output is None:
        return
    if not erasure.receipt:
        raise CliError(f"not all stores are done; ask again: mercato privacy receipt {erasure.receipt_id}")
    output.write_text(erasure.receipt + "\n", encoding="ascii")


def _show(out: Console, erasure: pb.Erasure) -> None:
    state = "done, receipt signed" if erasure.state == DONE else "PENDING, retried in the background"
    out.print(f"erasure {erasure.receipt_id}: {state}", markup=False)
    for store in erasure.stores:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(store.row_counts.items()))
        said = counts if store.state == DONE else f"PENDING after {store.attempt_count} attempts: {store.failure}"
        out.print(f"  {store.store}: {said}", markup=False)
        for note in store.notes:
            out.print(f"    {note}", markup=False)


def _read(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"cannot read {path}: {error}") from error


def _one_of(user: str, visitor: str) -> None:
    if bool(user) == bool(visitor):
        raise CliError("give either --user or --visitor")
