"""``mercato bench``: latency and throughput beside the floor of the same machine, measured in the same run."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from services.cli.bench.floor import PIPELINES, empty_suite
from services.cli.bench.load import Measured, run_load
from services.cli.bench.milvus import bare_search_ms, milvus_seconds
from services.cli.bench.place import Place, find_place
from services.cli.bench.reporting import give, machine
from services.cli.bench.workloads import clean_up, gather_material, workloads
from services.cli.output import console
from services.cli.settings import CliSettings, check_output, data_folder, settings_of

IN_FLIGHT = (1, 16)
ALIAS = "products_default"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("bench")(bench)


def bench(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Data folder of the suite; default ./data.")] = None,
    seconds: Annotated[float, typer.Option(min=0.5, help="Time of each measurement.")] = 5.0,
    output: Annotated[Path, typer.Option(help="Where the figures are written as JSON.")] = Path("bench-results.json"),
) -> None:
    """Measure latency and throughput; starts the suite with the demo where it does not run."""
    out = console(stderr=settings_of(context).json)
    check_output(output)
    report = asyncio.run(_bench(settings_of(context), data_folder(data), seconds, out))
    give(report, output, out, None if settings_of(context).json else _show)


async def _bench(options: CliSettings, data: Path, seconds: float, out: Console) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        place = await find_place(stack, options, data, out)
        try:
            measured = await _measure(place, seconds, out)
            bare = await asyncio.to_thread(bare_search_ms, place.milvus_uri, ALIAS)
        finally:
            await clean_up(place.gateway)
    return {
        **machine(),
        "seconds": seconds,
        "bare_milvus_search_ms": {"p50": bare[0], "p99": bare[1]},
        "rpcs": measured,
    }


async def _measure(place: Place, seconds: float, out: Console) -> dict[str, Any]:
    material = await gather_material(place.gateway)
    results: dict[str, Any] = {}
    for name, call in workloads(place.gateway, material).items():
        results[name] = {}
        async with empty_suite(PIPELINES[name]) as empty:
            for in_flight in IN_FLIGHT:
                out.print(f"measuring {name}, {in_flight} in flight ...")
                floor = await run_load(lambda _: empty(b""), in_flight=in_flight, seconds=seconds / 2)
                before = milvus_seconds(place.retrieval_metrics)
                # No number comes twice: an event with a known id would be a duplicate, which costs less.
                real = await run_load(call, in_flight=in_flight, seconds=seconds, first=in_flight * 1_000_000)
                waited = milvus_seconds(place.retrieval_metrics) - before
                results[name][str(in_flight)] = _row(real, floor, waited * 1000 / max(real.requests, 1))
    return results


def _row(real: Measured, floor: Measured, milvus_ms: float) -> dict[str, Any]:
    """`ratio` compares medians; `ratio_without_milvus` leaves out the mean time that a request waited for Milvus."""
    return {
        "real": {**asdict(real), "per_second": real.per_second},
        "floor": {**asdict(floor), "per_second": floor.per_second},
        "milvus_ms_per_request": milvus_ms,
        "ratio": real.p50_ms / floor.p50_ms,
        "ratio_without_milvus": max(real.p50_ms - milvus_ms, 0.0) / floor.p50_ms,
    }


def _show(out: Console, report: dict[str, Any]) -> None:
    table = Table(title=f"{report['platform']}, {report['cpus']} CPUs", title_justify="left", box=None)
    heads = (
        "rpc",
        "in flight",
        "p50 ms",
        "p99 ms",
        "per s",
        "errors",
        "floor p50",
        "ratio",
        "Milvus ms",
        "ratio without",
    )
    for head in heads:
        table.add_column(head, justify="left" if head == "rpc" else "right")
    for name, rows in report["rpcs"].items():
        for in_flight, row in rows.items():
            real, floor = row["real"], row["floor"]
            table.add_row(
                name,
                in_flight,
                f"{real['p50_ms']:.1f}",
                f"{real['p99_ms']:.1f}",
                f"{real['per_second']:.0f}",
                str(real["errors"]),
                f"{floor['p50_ms']:.2f}",
                f"{row['ratio']:.1f}",
                f"{row['milvus_ms_per_request']:.1f}",
                f"{row['ratio_without_milvus']:.1f}",
            )
    out.print(table)
    bare = report["bare_milvus_search_ms"]
    out.print(f"bare Milvus search: p50 {bare['p50']:.1f} ms, p99 {bare['p99']:.1f} ms")
