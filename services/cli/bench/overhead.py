"""What the suite's interceptors and its gateway add to a bare grpc.aio echo, measured side by side."""

from __future__ import annotations

import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass

from google.protobuf.wrappers_pb2 import BytesValue

from services.cli.bench import empty_service, intercepted_service
from services.cli.bench.floor import SuiteOf, suite_of
from services.cli.bench.load import Call, run_load

_BARE = SuiteOf("services.cli.bench.empty_service", empty_service.METHOD)
_OURS = SuiteOf(
    "services.cli.bench.intercepted_service", intercepted_service.METHOD, {}, BytesValue().SerializeToString()
)
_ONE_HOP: list[list[str]] = []
_TWO_HOPS = [["catalog"]]
ROUNDS = 5
IN_FLIGHT = (1, 16)


@dataclass(frozen=True, slots=True)
class Overhead:
    """Medians over the rounds; ratios are medians of the rounds' ratios to the bare echo."""

    name: str
    in_flight: int
    p50_ms: float
    per_second: float
    ratio_p50: float
    ratio_per_second: float


async def measure_overhead(gateway_call: Call, seconds: float) -> list[Overhead]:
    """One server and one behind another, bare and with interceptors, and the gateway's cheapest call; in turns."""
    async with AsyncExitStack() as stack:
        calls: dict[str, Call] = {}
        for name, kind, pipeline in (
            ("bare echo", _BARE, _ONE_HOP),
            ("echo behind the interceptors", _OURS, _ONE_HOP),
            ("bare echo behind a bare hop", _BARE, _TWO_HOPS),
            ("both with interceptors", _OURS, _TWO_HOPS),
        ):
            calls[name] = (await stack.enter_async_context(suite_of(kind, pipeline))).call
        calls["GetProduct of the real gateway"] = gateway_call
        return [row for in_flight in IN_FLIGHT for row in await _rows(calls, in_flight, seconds)]


async def _rows(calls: dict[str, Call], in_flight: int, seconds: float) -> list[Overhead]:
    p50: dict[str, list[float]] = {name: [] for name in calls}
    rates: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for number in range(ROUNDS):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            measured = await run_load(calls[name], in_flight=in_flight, seconds=seconds / ROUNDS, warm_up=10)
            if measured.errors:
                raise RuntimeError(f"{name}: {measured.errors} of {measured.requests} requests failed")
            p50[name].append(measured.p50_ms)
            rates[name].append(measured.per_second)
    bare = names[0]
    return [
        Overhead(
            name,
            in_flight,
            statistics.median(p50[name]),
            statistics.median(rates[name]),
            statistics.median(a / b for a, b in zip(p50[name], p50[bare], strict=True)),
            statistics.median(a / b for a, b in zip(rates[name], rates[bare], strict=True)),
        )
        for name in names
    ]
