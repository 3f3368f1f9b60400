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
from typing import Any

from google.protobuf.wrappers_pb2 import BytesValue

from services.cli.bench.floor import PIPELINES, SuiteOf, end_process, free_address, start_module, suite_of
from services.cli.bench.intercepted_service import METHOD
from services.cli.bench.load import run_load

IN_FLIGHT = 16
RATIOS = {"off": None, "1 %": "0.01", "100 %": "1"}


@dataclass
class Variant:
    """One suite and its throughputs, a round each."""

    call: Any
    per_second: list[float] = field(default_factory=list)


async def measure(seconds: float, rounds: int) -> dict[str, list[float]]:
    """Requests a second by variant, a number a round."""
    async with AsyncExitStack() as stack:
        collector = free_address()
        stack.callback(end_process, start_module("services.cli.bench.collector", [collector]))
        variants: dict[str, Variant] = {}
        for name, ratio in RATIOS.items():
            environment = {} if ratio is None else _traces(collector, ratio)
            suite = SuiteOf(
                "services.cli.bench.intercepted_service", METHOD, environment, BytesValue().SerializeToString()
            )
            variants[name] = Variant(await stack.enter_async_context(suite_of(suite, PIPELINES["Recommend"])))
        for number in range(rounds):
            # Every order in turn: who comes after another finds a warmer or a busier machine.
            names = list(variants)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                variant = variants[name]
                measured = await run_load(variant.call, in_flight=IN_FLIGHT, seconds=seconds, warm_up=50)
                if measured.errors:
                    raise RuntimeError(f"{name}: {measured.errors} of {measured.requests} requests failed")
                variant.per_second.append(measured.per_second)
    return {name: variant.per_second for name, variant in variants.items()}


def report(measured: dict[str, list[float]]) -> str:
    """As a table in Markdown; the ratio is the median of the ratios of the rounds."""
    lines = ["| traces | requests/s | against none |", "|---|---|---|"]
    for name, values in measured.items():
        ratios = [value / base for value, base in zip(values, measured["off"], strict=True)]
        lines.append(f"| {name} | {statistics.median(values):.0f} | {statistics.median(ratios):.3f} |")
    return "\n".join(lines)


def _traces(collector: str, ratio: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector}", "MERCATO_TRACES_RATIO": ratio}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one round of one variant")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    measured = asyncio.run(measure(arguments.seconds, arguments.rounds))
    sys.stdout.write(f"{platform.platform()}, {os.cpu_count()} CPUs, {IN_FLIGHT} in flight\n{report(measured)}\n")


if __name__ == "__main__":
    main()
