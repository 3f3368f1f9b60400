"""``mercato rebuild-index``."""

from __future__ import annotations

import asyncio

import typer
from mercato.gateway.v1.operations_service_pb2 import RebuildIndexRequest

from services.cli.client import connect
from services.cli.output import Meter, console, show_json
from services.cli.settings import CliSettings, settings_of


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("rebuild-index")(rebuild_index)


def rebuild_index(context: typer.Context) -> None:
    """Build the product index anew beside the one in use, then switch."""
    asyncio.run(_rebuild(settings_of(context)))


async def _rebuild(settings: CliSettings) -> None:
    async with connect(settings) as gateway:
        parts = gateway.stream(gateway.operations.RebuildIndex, RebuildIndexRequest())
        if settings.json:
            async for part in parts:
                show_json(part, one_line=True)
            return
        name = ""
        with Meter(console(stderr=True), "building the index", unit="products") as meter:
            async for part in parts:
                name = part.index
                meter.update(part.done, total=part.total or None)
        console().print(f"index {name} is in use", markup=False)
