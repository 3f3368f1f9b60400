"""``mercato bench-capacity``: what a call takes of each unit's processor time and memory, and what is stored takes."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from services.cli.bench.cost import cpu_ms, each_call, resident_mb, stored
from services.cli.bench.load import run_load
from services.cli.bench.place import Place, find_place
from services.cli.bench.reporting import give, machine
from services.cli.bench.workloads import clean_up, gather_material, workloads
from services.cli.output import console
from services.cli.settings import CliSettings, check_output, data_folder, settings_of

IN_FLIGHT = 8
CALLER = "load generator"
"""And the supervisor, where the suite was started for the measurement."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("bench-capacity")(bench_capacity)


def bench_capacity(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Data folder of the suite; default ./data.")] = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="Time of each measurement.")] = 10.0,
    output: Annotated[Path, typer.Option(help="Where the figures are written as JSON.")] = Path(
        "bench-capacity-results.json"
    ),
) -> None:
    """Measure what plans of capacity start from; starts the suite with the demo where it does not run."""
    out = console(stderr=settings_of(context).json)
    check_output(output)
    report = asyncio.run(_bench(settings_of(context), data_folder(data), seconds, out))
    give(report, output, out, None if settings_of(context).json else _show)


async def _bench(options: CliSettings, data: Path, seconds: float, out: Console) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        place = await find_place(stack, options, data, out)
        sizes = await asyncio.to_thread(stored, place.postgres_dsn)
        try:
            calls = await _measure(place, seconds, out)
            memory = resident_mb(place.pids())
        finally:
            await clean_up(place.gateway)
    kinds = {kind: {**asdict(one), "bytes_each": one.bytes_each} for kind, one in sizes.items()}
    return {**machine(), "seconds": seconds, "rpcs": calls, "memory_mb": memory, "stored": kinds}


async def _measure(place: Place, seconds: float, out: Console) -> dict[str, Any]:
    pids = {CALLER: os.getpid(), **place.pids()}
    found: dict[str, Any] = {}
    for name, call in workloads(place.gateway, await gather_material(place.gateway)).items():
        out.print(f"measuring {name} ...")
        await run_load(call, in_flight=IN_FLIGHT, seconds=seconds / 4)
        before = cpu_ms(pids)
        measured = await run_load(call, in_flight=IN_FLIGHT, seconds=seconds, first=1_000_000, warm_up=0)
        spent = each_call(before, cpu_ms(pids), measured.requests)
        found[name] = {"per_second": measured.per_second, "errors": measured.errors, "cpu_ms": spent}
    return found


def _show(out: Console, report: dict[str, Any]) -> None:
    rpcs: dict[str, Any] = report["rpcs"]
    table = Table(title=f"{report['platform']}, {report['cpus']} CPUs", title_justify="left", box=None)
    table.add_column("unit")
    for head in (*(f"{name} CPU ms" for name in rpcs), "memory MiB"):
        table.add_column(head, justify="right")
    for unit in (CALLER, *report["memory_mb"]):
        spent = [rpcs[name]["cpu_ms"].get(unit) for name in rpcs]
        memory = report["memory_mb"].get(unit)
        cells = [*("" if took is None else f"{took:.1f}" for took in spent), "" if memory is None else f"{memory:.0f}"]
        table.add_row(unit, *cells)
    table.add_row("calls a second", *(f"{rpcs[name]['per_second']:.0f}" for name in rpcs), "")
    out.print(table)
    for kind, one in report["stored"].items():
        out.print(f"PostgreSQL: {one['count']:,} {kind}s, {one['bytes_each']:,.0f} bytes each, indexes included")
