"""``mercato train``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated

import grpc
import typer
from mercato.gateway.v1 import operations_service_pb2 as pb
from rich.console import Console

from services.cli.client import Gateway, connect
from services.cli.output import Meter, console, show_json
from services.cli.settings import CliSettings, settings_of

FIND_SECONDS = 15.0


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("train")(train)


class Kind(StrEnum):
    """What is learnt."""

    TABLES = "tables"
    FULL = "full"
    INCREMENTAL = "incremental"


KINDS = {
    None: pb.TRAINING_KIND_UNSPECIFIED,
    Kind.TABLES: pb.TRAINING_KIND_TABLES,
    Kind.FULL: pb.TRAINING_KIND_FULL,
    Kind.INCREMENTAL: pb.TRAINING_KIND_INCREMENTAL,
}


def train(
    context: typer.Context,
    kind: Annotated[
        Kind | None, typer.Option(help="What to learn; default: everything that the trainer can.", show_default=False)
    ] = None,
    keep_current: Annotated[bool, typer.Option(help="Keep the current release also when the gate is passed.")] = False,
) -> None:
    """Learn a release from all events; it becomes current when it passes its gate."""
    asyncio.run(_train(settings_of(context), pb.TrainRequest(kind=KINDS[kind], keep_current=keep_current)))


async def _train(settings: CliSettings, request: pb.TrainRequest) -> None:
    async with connect(settings) as gateway:
        if settings.json:
            async for part in _steps(gateway, request):
                show_json(part, one_line=True)
        else:
            await train_release(gateway, console(), request)


async def train_release(gateway: Gateway, out: Console, request: pb.TrainRequest | None = None) -> pb.Release:
    """Trains with progress, as the trainer is configured if not told otherwise; says what came out."""
    release, request = pb.Release(), request or pb.TrainRequest()
    with Meter(out, "training") as meter:
        async for part in _steps(gateway, request):
            meter.update(part.done, total=part.total or None, note=part.step)
            if part.HasField("release"):
                release = part.release
    out.print(
        f"release {release.release_id}: {release.purchase_count:,} purchases of {release.user_count:,} people, "
        f"{release.product_count:,} products, {release.pair_count:,} pairs",
        markup=False,
    )
    for check in release.gate.checks:
        out.print(f"  {check}", markup=False)
    if not release.current:
        out.print(f"the current release stays; see: mercato release show {release.release_id}", markup=False)
    return release


async def _steps(gateway: Gateway, request: pb.TrainRequest) -> AsyncIterator[pb.TrainResponse]:
    """What a training says. One that could not begin is asked for again for some seconds: services that have just
    started may not have found each other yet.
    """
    until, begun = time.monotonic() + FIND_SECONDS, False
    while True:
        try:
            async for part in gateway.stream(gateway.operations.Train, request):
                begun = True
                yield part
            return
        except grpc.aio.AioRpcError as error:
            if begun or error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > until:
                raise
        await asyncio.sleep(0.5)
