"""``mercato export-user`` and ``mercato erase-user``: one person's rights over their data."""

from __future__ import annotations

from typing import Annotated

import typer
from mercato.gateway.v1.user_event_service_pb2 import EraseUserDataRequest, ExportUserDataRequest

from services.cli.client import Gateway, with_gateway
from services.cli.errors import CliError
from services.cli.output import console, show_json
from services.cli.settings import settings_of

User = Annotated[str, typer.Option(help="The customer's account.")]
Visitor = Annotated[str, typer.Option(help="The browser or device.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("export-user")(export_user)
    app.command("erase-user")(erase_user)


def export_user(context: typer.Context, user: User = "", visitor: Visitor = "") -> None:
    """Write everything that is stored about one person, as JSON Lines, to standard output."""
    _one_of(user, visitor)
    request = ExportUserDataRequest(user_id=user, visitor_id=visitor)

    async def work(gateway: Gateway) -> None:
        async for part in gateway.stream(gateway.events.ExportUserData, request):
            show_json(part, one_line=True)

    with_gateway(settings_of(context), work)


def erase_user(
    context: typer.Context,
    user: User = "",
    visitor: Visitor = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase everything that is stored about one person, and show the receipt."""
    _one_of(user, visitor)
    settings = settings_of(context)
    if not yes and not typer.confirm(f"Erase all data of {user or visitor}? This cannot be undone.", err=True):
        raise CliError("nothing was erased")

    async def work(gateway: Gateway) -> None:
        request = EraseUserDataRequest(user_id=user, visitor_id=visitor)
        receipt = await gateway.call(gateway.events.EraseUserData, request, seconds=300.0)
        if settings.json:
            show_json(receipt)
            return
        out = console()
        out.print(
            f"receipt {receipt.receipt_id}: {receipt.erased_event_count:,} events and "
            f"{receipt.erased_record_count:,} derived records erased",
            markup=False,
        )
        for note in receipt.notes:
            out.print(f"  {note}", markup=False)

    with_gateway(settings, work)


def _one_of(user: str, visitor: str) -> None:
    if bool(user) == bool(visitor):
        raise CliError("give either --user or --visitor")
