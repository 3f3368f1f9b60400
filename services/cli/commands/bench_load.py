"""``mercato bench-load``: a shop's mix of requests in an open model, below and far above what the suite can do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from services.cli.bench.ledger import EventLedger
from services.cli.bench.load import Call
from services.cli.bench.load_report import phase_row, show
from services.cli.bench.memory import MemoryWatch
from services.cli.bench.mix import mix_calls
from services.cli.bench.open_load import run_closed, run_open
from services.cli.bench.overhead import measure_overhead
from services.cli.bench.place import Place, find_place
from services.cli.bench.reporting import give, machine
from services.cli.bench.workloads import erase_visitors, gather_material
from services.cli.output import console
from services.cli.settings import CliSettings, check_output, data_folder, settings_of

LOADS = (0.5, 0.8, 1.2, 3.0)
CALLERS = 12
SOAK_LOAD = 0.8
SEED = 84
GENERATOR = "load generator"
GENERATOR_NICE = -10
"""It shares the machine with what it measures: where it may, it goes first, or its lateness would count as theirs."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("bench-load")(bench_load)


def bench_load(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Data folder of the suite; default ./data.")] = None,
    seconds: Annotated[float, typer.Option(min=2.0, help="Time of each load.")] = 30.0,
    soak_minutes: Annotated[float, typer.Option(min=0.0, help="Then this long at 80 %, for growth of memory.")] = 0.0,
    output: Annotated[Path, typer.Option(help="Where the figures are written as JSON.")] = Path(
        "bench-load-results.json"
    ),
) -> None:
    """Measure goodput and latency under load and overload; starts the suite with the demo where it does not run."""
    out = console(stderr=settings_of(context).json)
    check_output(output)
    report = asyncio.run(_bench(settings_of(context), data_folder(data), (seconds, soak_minutes), out))
    give(report, output, out, None if settings_of(context).json else show)


async def _bench(options: CliSettings, data: Path, times: tuple[float, float], out: Console) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        place = await find_place(stack, options, data, out)
        ledger = EventLedger(options.tenant or "default")
        try:
            calls = mix_calls(place.gateway, await gather_material(place.gateway), ledger)
            measured = await _measure(place, calls, times, out)
            events = await asyncio.to_thread(ledger.settle, place.postgres_dsn)
        finally:
            out.print("erasing what was written ...")
            await erase_visitors(place.gateway, ledger.visitors())
    return {**machine(), "seconds": times[0], **measured, "events": asdict(events)}


async def _measure(place: Place, calls: Mapping[str, Call], times: tuple[float, float], out: Console) -> dict[str, Any]:
    seconds, soak_minutes = times
    out.print("measuring overhead ...")
    overhead = await measure_overhead(calls["GetProduct"], seconds / 2)
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, GENERATOR_NICE)
    out.print("measuring capacity ...")
    await run_closed(calls, CALLERS, seconds / 4, SEED)
    capacity = (await run_closed(calls, CALLERS, seconds, SEED + 1000)).goodput
    watch = MemoryWatch({GENERATOR: os.getpid(), **place.pids()}, alone={GENERATOR})
    watching = asyncio.create_task(watch.run())
    phases = []
    try:
        for number, load in enumerate(LOADS):
            out.print(f"measuring {load:.0%} of {capacity:.0f} requests/s ...")
            phase = await run_open(calls, capacity * load, seconds, SEED + number)
            phases.append({**phase_row(load, phase), "limit": place.concurrency_limit()})
        soak = None
        if soak_minutes:
            out.print(f"soaking for {soak_minutes:g} minutes ...")
            soak = phase_row(SOAK_LOAD, await run_open(calls, capacity * SOAK_LOAD, soak_minutes * 60, SEED + 99))
    finally:
        watching.cancel()
    growth = {unit: asdict(grown) for unit, grown in watch.growth().items()}
    return {
        "capacity_per_second": capacity,
        "phases": phases,
        "soak": soak,
        "memory": growth,
        "overhead": [asdict(row) for row in overhead],
    }
