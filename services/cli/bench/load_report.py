"""The figures of a load test, as rows and as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from services.cli.bench.mix import PARTS
from services.cli.bench.open_load import Phase


def phase_row(load: float, phase: Phase) -> dict[str, Any]:
    """One run; ``within_objective``: every rpc's 99th percentile of accepted requests is."""
    rpcs = {
        name: {
            "accepted": len(tally.accepted),
            "shed": len(tally.shed),
            "failed": tally.failed,
            "degraded": tally.degraded,
            "p50_ms": tally.quantile_ms(0.5),
            "p99_ms": tally.quantile_ms(0.99),
            "objective_ms": PARTS[name].objective_ms,
        }
        for name, tally in phase.tallies.items()
    }
    return {
        "load": load,
        "offered_per_second": phase.offered_per_second,
        "seconds": phase.seconds,
        "goodput_per_second": phase.goodput,
        "shed": phase.shed,
        "failed": phase.failures,
        "degraded": phase.degraded,
        "generator_late_p99_ms": phase.late_ms,
        "within_objective": all(
            tally.quantile_ms(0.99) <= PARTS[name].objective_ms for name, tally in phase.tallies.items()
        ),
        "rpcs": rpcs,
    }


def show(out: Console, report: dict[str, Any]) -> None:
    """Prints all tables."""
    phases = [*report["phases"], *([report["soak"]] if report["soak"] else [])]
    peak = max(phase["goodput_per_second"] for phase in phases)
    out.print(f"{report['platform']}, {report['cpus']} CPUs; capacity {report['capacity_per_second']:.0f} requests/s")
    _table(
        out,
        (
            "load",
            "offered/s",
            "goodput/s",
            "of peak",
            "shed",
            "failed",
            "limit",
            "within objective",
            "generator late p99 ms",
        ),
        [
            (
                f"{phase['load']:.0%}",
                f"{phase['offered_per_second']:.0f}",
                f"{phase['goodput_per_second']:.0f}",
                f"{phase['goodput_per_second'] / peak:.0%}",
                str(phase["shed"]),
                str(phase["failed"]),
                str(phase["degraded"]),
                f"{phase['limit']:.0f}" if phase.get("limit") else "",
                "yes" if phase["within_objective"] else "no",
                f"{phase['generator_late_p99_ms']:.0f}",
            )
            for phase in phases
        ],
    )
    heads = ("p50/p99 ms of accepted", *(f"{phase['load']:.0%}" for phase in phases), "objective p99")
    _table(out, heads, [_latencies(name, phases) for name in PARTS])
    _table(
        out,
        ("echo", "in flight", "p50 ms", "per s", "CPU ms", "p50 ratio", "throughput ratio", "CPU ratio"),
        [
            (
                row["name"],
                str(row["in_flight"]),
                f"{row['p50_ms']:.2f}",
                f"{row['per_second']:.0f}",
                _maybe(row["cpu_ms"]),
                f"{row['ratio_p50']:.2f}",
                f"{row['ratio_per_second']:.2f}",
                _maybe(row["ratio_cpu"]),
            )
            for row in report["overhead"]
        ],
    )
    _table(
        out,
        ("memory of", "first MiB", "last MiB", "MiB a minute"),
        [
            (unit, f"{row['first_mb']:.0f}", f"{row['last_mb']:.0f}", f"{row['slope_mb_per_minute']:+.2f}")
            for unit, row in report["memory"].items()
        ],
    )
    events = report["events"]
    out.print(
        f"events: {events['sent']} sent, {events['acknowledged']} acknowledged, {events['stored']} stored,"
        f" {events['lost']} lost, {events['doubled']} doubled"
    )


def _maybe(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _latencies(name: str, phases: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    cells = (f"{phase['rpcs'][name]['p50_ms']:.0f}/{phase['rpcs'][name]['p99_ms']:.0f}" for phase in phases)
    return (name, *cells, f"{PARTS[name].objective_ms:.0f}")


def _table(out: Console, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None)
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left")
    for row in rows:
        table.add_row(*row)
    out.print(table)
    out.print()
