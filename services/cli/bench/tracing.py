"""What tracing costs: `python -m services.cli.bench.tracing [--seconds S] [--rounds N]`.

The hops of Recommend as empty services behind the suite's interceptors, so that nothing hides the cost: real work only
makes the share smaller. Suites without traces, with 1 % and with all of them recorded take turns, round by round, so
that a machine that changes its speed changes it for all.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from google.protobuf.wrappers_pb2 import BytesValue

from services.cli.bench.floor import PIPELINES, RunningSuite, SuiteOf, end_process, free_address, start_module, suite_of
from services.cli.bench.intercepted_service import METHOD
from services.cli.bench.load import run_load

MODULE = "services.cli.bench.intercepted_service"
IN_FLIGHT = 16
RATIOS = {"off": None, "1 %": "0.01", "100 %": "1"}


@dataclass
class Variant:
    """One suite, and a number a round."""

    suite: RunningSuite
    per_second: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    """CPU time of a request in all of its hops."""


async def measure(seconds: float, rounds: int) -> dict[str, Variant]:
    """The variants by name."""
    async with AsyncExitStack() as stack:
        collector = free_address()
        stack.callback(end_process, start_module("services.cli.bench.collector", [collector]))
        variants: dict[str, Variant] = {}
        for name, ratio in RATIOS.items():
            environment = {} if ratio is None else _traces(collector, ratio)
            kind = SuiteOf(MODULE, METHOD, environment, BytesValue().SerializeToString())
            variants[name] = Variant(await stack.enter_async_context(suite_of(kind, PIPELINES["Recommend"])))
        for number in range(rounds):
            # Every order in turn: who comes after another finds a warmer or a busier machine.
            names = list(variants)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                await _round(name, variants[name], seconds)
    return variants


async def _round(name: str, variant: Variant, seconds: float) -> None:
    before, warm_up = variant.suite.cpu_seconds(), 20
    measured = await run_load(variant.suite.call, in_flight=IN_FLIGHT, seconds=seconds, warm_up=warm_up)
    if measured.errors:
        raise RuntimeError(f"{name}: {measured.errors} of {measured.requests} requests failed")
    variant.per_second.append(measured.per_second)
    variant.cpu_ms.append((variant.suite.cpu_seconds() - before) * 1000 / (measured.requests + warm_up))


def report(variants: dict[str, Variant]) -> str:
    """As a table in Markdown; ratios are medians of the ratios of the rounds."""
    lines = ["| traces | requests/s | against none | CPU ms a request | against none |", "|---|---|---|---|---|"]
    base = variants["off"]
    for name, one in variants.items():
        speed = statistics.median(value / other for value, other in zip(one.per_second, base.per_second, strict=True))
        cpu = statistics.median(value / other for value, other in zip(one.cpu_ms, base.cpu_ms, strict=True))
        per_second, cpu_ms = statistics.median(one.per_second), statistics.median(one.cpu_ms)
        lines.append(f"| {name} | {per_second:.0f} | {speed:.3f} | {cpu_ms:.2f} | {cpu:.3f} |")
    return "\n".join(lines)


def _traces(collector: str, ratio: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector}", "MERCATO_TRACES_RATIO": ratio}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one round of one variant")
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    measured = asyncio.run(measure(arguments.seconds, arguments.rounds))
    sys.stdout.write(f"{platform.platform()}, {os.cpu_count()} CPUs, {IN_FLIGHT} in flight\n{report(measured)}\n")


if __name__ == "__main__":
    main()
