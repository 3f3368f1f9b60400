"""``mercato status``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import grpc
import typer
from mercato.gateway.v1.operations_service_pb2 import ComponentStatus, GetStatusRequest, GetStatusResponse
from rich.console import Console

from services.cli.client import Gateway, with_gateway
from services.cli.output import console, show_json, table
from services.cli.settings import data_folder, settings_of
from services.supervisor.adapters.data_folder import lock_holder
from services.supervisor.settings import SupervisorSettings
from services.supervisor.suite import read_state


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("status")(status)


def status(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="The data folder of a suite on this machine.")] = None,
) -> None:
    """Show how the services are and what is stored."""
    settings = settings_of(context)

    async def work(gateway: Gateway) -> GetStatusResponse:
        return await gateway.call(gateway.operations.GetStatus, GetStatusRequest())

    out = console()
    try:
        answer = with_gateway(settings, work)
    except grpc.aio.AioRpcError:
        if not settings.json:
            _show_processes(out, data_folder(data))
        raise
    if settings.json:
        show_json(answer)
        return
    _show_answer(out, answer)
    _show_processes(out, data_folder(data))


def _show_answer(out: Console, answer: GetStatusResponse) -> None:
    rows = [row for component in answer.components for row in _component(component, "")]
    out.print(table(f"Mercato {answer.version}", ("component", "state", "detail"), rows))
    waiting = f" ({answer.unindexed_count:,} not indexed yet)" if answer.unindexed_count else ""
    out.print(
        f"{answer.product_count:,} products{waiting}, {answer.event_count:,} events,"
        f" {answer.document_count:,} documents",
        markup=False,
    )
    release = answer.release.release_id if answer.HasField("release") else "none; `mercato train` makes one"
    out.print(f"release: {release}", markup=False)


def _component(component: ComponentStatus, indent: str) -> list[tuple[str, str, str]]:
    rows = [(indent + component.name, "ok" if component.healthy else "DOWN", component.detail)]
    for dependency in component.dependencies:
        rows += _component(dependency, indent + "  ")
    return rows


def _show_processes(out: Console, folder: Path) -> None:
    """What the supervisor of this machine last wrote, where one runs."""
    holder = lock_holder(folder.absolute())
    if holder is None:
        return
    state = read_state(SupervisorSettings(data=folder))
    rows = [
        (unit["unit"], unit["state"], unit["address"], str(unit["pid"] or ""), str(unit["restarts"]),
         f"{(time.time() - unit['since']) / 60:.0f} min", unit["message"])
        for unit in state.get("units", [])
    ]  # fmt: skip
    columns = ("unit", "state", "address", "process", "restarts", "for", "message")
    out.print(
        table(f"Processes of {folder.absolute()} (supervisor {holder})", columns, rows, right=("process", "restarts"))
    )
