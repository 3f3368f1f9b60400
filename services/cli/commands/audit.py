"""``mercato audit``: what administrators did."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from mercato.gateway.v1 import audit_event_pb2 as pb

from services.cli.client import Gateway, with_gateway
from services.cli.output import console, show_json, table
from services.cli.settings import settings_of

MOST_A_PAGE = 500


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("audit")(audit)


def audit(
    context: typer.Context,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Acts shown, newest first.")] = 50,
    actor: Annotated[str, typer.Option(help="Only acts of this actor, such as key:k-3f9a1b2c4d5e.")] = "",
    action: Annotated[str, typer.Option(help="Only this action, such as OperationsService/Train.")] = "",
    days: Annotated[float | None, typer.Option(min=0, help="Only the last days.")] = None,
) -> None:
    """Show administrative acts on the tenant: who, what, when, from where, with what outcome."""
    settings = settings_of(context)
    request = pb.ListAuditEventsRequest(actor=actor, action=action)
    if days is not None:
        request.start_time.FromDatetime(datetime.now(UTC) - timedelta(days=days))
    found = with_gateway(settings, lambda gateway: _pages(gateway, request, count))
    if settings.json:
        show_json(found)
        return
    rows = [
        (
            event.begin_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S"),
            event.actor,
            event.action,
            event.target,
            event.peer,
            event.outcome or "not ended",
        )
        for event in found.events
    ]
    columns = ("when (UTC)", "who", "what", "to what", "from", "outcome")
    console().print(table("Administrative acts", columns, rows) if rows else "no administrative acts")


async def _pages(gateway: Gateway, request: pb.ListAuditEventsRequest, count: int) -> pb.ListAuditEventsResponse:
    found = pb.ListAuditEventsResponse()
    while len(found.events) < count:
        request.page_size = min(MOST_A_PAGE, count)
        page = await gateway.call(gateway.operations.ListAuditEvents, request)
        found.events.extend(page.events[: count - len(found.events)])
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    return found
