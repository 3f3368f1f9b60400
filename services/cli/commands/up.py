"""``mercato up``: the whole suite in the foreground."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import grpc
import typer
from mercato.gateway.v1 import operations_service_pb2 as pb
from mercato.gateway.v1.operations_service_pb2 import GetStatusRequest
from rich.console import Console

from services.cli.client import Gateway, connect
from services.cli.commands.train import train_release
from services.cli.errors import CliError
from services.cli.output import Meter, console
from services.cli.settings import CliSettings, data_folder, settings_of
from services.supervisor.domain import SuiteEvent, UnitState
from services.supervisor.http_settings import HttpSettings
from services.supervisor.settings import SupervisorSettings
from services.supervisor.suite import Suite, stop_on_signals

POLL_SECONDS = 1.0


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("up")(up)


def up(
    context: typer.Context,
    demo: Annotated[bool, typer.Option("--demo", help="Load the demo shop unless it is there.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Where everything is kept; default MERCATO_DATA, else ./data.")
    ] = None,
    demo_fraction: Annotated[
        float, typer.Option(min=0.001, max=1.0, help="Share of the demo's households and products.")
    ] = 1.0,
) -> None:
    """Start the suite on embedded systems, in the foreground."""
    folder = data_folder(data)
    settings = SupervisorSettings(data=folder)
    asyncio.run(_up(settings, settings_of(context), demo_fraction if demo else None))


REFUSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
"""API keys are on: a suite that serves is not stopped for that."""


async def _up(settings: SupervisorSettings, options: CliSettings, fraction: float | None) -> None:
    stop_on_signals()
    out = console()
    began = time.monotonic()
    out.print(f"starting Mercato; data in {settings.data.absolute()}", markup=False)
    async with Suite(settings, on_event=_Events(out)) as suite:
        await suite.wait_ready()
        address = suite.addresses["gateway"]
        ca = suite.environment.get("MERCATO_CA", "")
        local = CliSettings(address=address, api_key=options.api_key, tenant=options.tenant, ca=ca)
        async with connect(local) as gateway:
            try:
                await prepare(gateway, out, settings.data, fraction)
            except grpc.aio.AioRpcError as error:
                if error.code() not in REFUSED:
                    raise
                out.print(f"the demo is not looked after: {error.details()}; give --api-key with the scope operate")
        suite.take_signals()
        _show_addresses(out, suite, time.monotonic() - began)
        learning = asyncio.create_task(learn(local, out)) if fraction is not None else None
        await suite.until_stopped()
        out.print("stopping")
        if learning is not None:
            learning.cancel()
            await asyncio.gather(learning, return_exceptions=True)
    out.print("stopped")


async def prepare(gateway: Gateway, out: Console, data: Path, fraction: float | None) -> None:
    """Loads the demo, trains where nothing was trained, waits for the index."""
    if fraction is None:
        return
    from services.cli.demo.load import DemoLoader, things_to_try

    run = data / "run"
    loader = DemoLoader(gateway, out, run / "demo.json", data / "demo.rejects.jsonl")
    marker = await loader.ensure(fraction)
    status = await gateway.call(gateway.operations.GetStatus, GetStatusRequest())
    if not status.HasField("release"):
        await train_release(gateway, out, pb.TrainRequest(kind=pb.TRAINING_KIND_TABLES))
    await wait_indexed(gateway, out)
    out.print("\n[bold]Things to try[/bold] (in another terminal)")
    for line in things_to_try(marker):
        out.print(f"  {line}", markup=False, soft_wrap=True)


async def learn(settings: CliSettings, out: Console) -> None:
    """Learns models beside serving, unless that was done before; the suite is in use meanwhile."""
    async with connect(settings) as gateway:
        try:
            releases = await gateway.call(gateway.operations.ListReleases, pb.ListReleasesRequest(page_size=100))
            if any(release.kind != pb.TRAINING_KIND_TABLES for release in releases.releases):
                return
            out.print("learning behaviour model and ranker beside it, which takes minutes; the blend orders meanwhile")
            await train_release(gateway, out, pb.TrainRequest(kind=pb.TRAINING_KIND_FULL))
            out.print("see: mercato release show", markup=False)
        except grpc.aio.AioRpcError as error:
            out.print(f"no models were learnt: {error.details()}; try: mercato train --kind full", markup=False)


async def wait_indexed(gateway: Gateway, out: Console) -> None:
    """Returns when every product is in the index."""
    status = await gateway.call(gateway.operations.GetStatus, GetStatusRequest())
    if not status.unindexed_count:
        return
    with Meter(out, "encoding and indexing products", total=status.product_count, unit="products") as meter:
        while status.unindexed_count:
            meter.update(status.product_count - status.unindexed_count, total=status.product_count)
            await asyncio.sleep(POLL_SECONDS)
            status = await gateway.call(gateway.operations.GetStatus, GetStatusRequest())
        meter.update(status.product_count)


class _Events:
    """One line when a unit is ready or in trouble, and for progress of its preparation."""

    def __init__(self, out: Console) -> None:
        self._out = out

    def __call__(self, event: SuiteEvent) -> None:
        quiet = event.state in (UnitState.WAITING, UnitState.STARTING, UnitState.STOPPING, UnitState.STOPPED)
        if quiet and not event.message:
            return
        line = f"{event.elapsed:7.1f} s  {event.unit:<10} {event.state:<10} {event.message}".rstrip()
        self._out.print(line, markup=False)


def _show_addresses(out: Console, suite: Suite, seconds: float) -> None:
    addresses = suite.addresses
    if "gateway" not in addresses:
        raise CliError("the suite has no gateway")
    others = "  ".join(f"{name} {address}" for name, address in addresses.items() if name not in ("gateway", "envoy"))
    out.print(f"\n[bold]Ready[/bold] after {seconds:.0f} s. Gateway (gRPC, with reflection): {addresses['gateway']}")
    if "envoy" in addresses:
        scheme = "https" if HttpSettings().tls_certificate else "http"
        out.print(f"JSON over HTTP and gRPC-Web: {scheme}://{addresses['envoy']}", markup=False)
    out.print(f"  {others}", style="dim", markup=False)
    out.print("Ctrl-C stops everything.")
