"""``mercato train``, ``releases`` and ``promote``."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from mercato.gateway.v1.operations_service_pb2 import (
    ListReleasesRequest,
    PromoteReleaseRequest,
    Release,
    TrainRequest,
)
from rich.console import Console

from services.cli.client import Gateway, connect, with_gateway
from services.cli.output import Meter, console, show_json, table
from services.cli.settings import CliSettings, settings_of


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("train")(train)
    app.command("releases")(releases)
    app.command("promote")(promote)


def train(
    context: typer.Context,
    keep_current: Annotated[bool, typer.Option(help="Do not make the release the current one.")] = False,
) -> None:
    """Learn a release from all events."""
    asyncio.run(_train(settings_of(context), keep_current=keep_current))


async def _train(settings: CliSettings, *, keep_current: bool) -> None:
    async with connect(settings) as gateway:
        if settings.json:
            request = TrainRequest(keep_current=keep_current)
            async for part in gateway.stream(gateway.operations.Train, request):
                show_json(part, one_line=True)
        else:
            await train_release(gateway, console(), keep_current=keep_current)


async def train_release(gateway: Gateway, out: Console, *, keep_current: bool = False) -> Release:
    """Trains with progress and says what came out."""
    release = Release()
    with Meter(out, "training") as meter:
        async for part in gateway.stream(gateway.operations.Train, TrainRequest(keep_current=keep_current)):
            meter.update(part.done, total=part.total or None, note=part.step)
            if part.HasField("release"):
                release = part.release
    out.print(
        f"release {release.release_id}: {release.purchase_count:,} purchases of {release.user_count:,} people, "
        f"{release.product_count:,} products, {release.pair_count:,} pairs",
        markup=False,
    )
    return release


Size = Annotated[int, typer.Option("-n", min=1, max=1000, help="How many.")]


def releases(context: typer.Context, page_size: Size = 20) -> None:
    """List releases, newest first."""
    settings = settings_of(context)

    async def work(gateway: Gateway) -> None:
        answer = await gateway.call(gateway.operations.ListReleases, ListReleasesRequest(page_size=page_size))
        if settings.json:
            show_json(answer)
            return
        rows = [_row(release) for release in answer.releases]
        columns = ("release", "made", "purchases", "people", "products", "pairs", "")
        console().print(table("Releases", columns, rows, right=columns[2:6]))

    with_gateway(settings, work)


def promote(context: typer.Context, release: Annotated[str, typer.Argument(help="The release's id.")]) -> None:
    """Make a release the current one."""
    settings = settings_of(context)

    async def work(gateway: Gateway) -> None:
        answer = await gateway.call(gateway.operations.PromoteRelease, PromoteReleaseRequest(release_id=release))
        if settings.json:
            show_json(answer)
        else:
            console().print(f"current release: {answer.release.release_id}", markup=False)

    with_gateway(settings, work)


def _row(release: Release) -> tuple[str, ...]:
    made = release.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
    counts = (release.purchase_count, release.user_count, release.product_count, release.pair_count)
    return (release.release_id, made, *(f"{count:,}" for count in counts), "current" if release.current else "")
