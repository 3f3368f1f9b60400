"""What the suite's interceptors and its gateway add to a bare grpc.aio echo, measured side by side."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

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
ROUNDS, WARM_UP = 5, 10
IN_FLIGHT = (1, 16)


@dataclass(frozen=True, slots=True)
class Overhead:
    """Medians over the rounds; ratios are medians of the rounds' ratios to the bare echo."""

    name: str
    in_flight: int
    p50_ms: float
    per_second: float
    cpu_ms: float | None
    """CPU time of the servers for a request; None for the real gateway, which has other work to do."""
    ratio_p50: float
    ratio_per_second: float
    ratio_cpu: float | None


@dataclass(slots=True)
class _Variant:
    """One kind of echo and its measurements, a number a round."""

    call: Call
    cpu_seconds: Callable[[], float] | None = None
    p50_ms: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


async def measure_overhead(gateway_call: Call, seconds: float) -> list[Overhead]:
    """One server and one behind another, bare and with interceptors, and the gateway's cheapest call; in turns."""
    async with AsyncExitStack() as stack:
        suites = {
            name: await stack.enter_async_context(suite_of(kind, pipeline))
            for name, kind, pipeline in (
                ("bare echo", _BARE, _ONE_HOP),
                ("echo behind the interceptors", _OURS, _ONE_HOP),
                ("bare echo behind a bare hop", _BARE, _TWO_HOPS),
                ("both with interceptors", _OURS, _TWO_HOPS),
            )
        }
        rows: list[Overhead] = []
        for in_flight in IN_FLIGHT:
            variants = {name: _Variant(suite.call, suite.cpu_seconds) for name, suite in suites.items()}
            variants["GetProduct of the real gateway"] = _Variant(gateway_call)
            await _rounds(variants, in_flight, seconds / ROUNDS)
            bare = variants["bare echo"]
            rows += [_row(name, in_flight, variant, bare) for name, variant in variants.items()]
        return rows


async def _rounds(variants: Mapping[str, _Variant], in_flight: int, seconds: float) -> None:
    names = list(variants)
    for number in range(ROUNDS):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            variant = variants[name]
            before = variant.cpu_seconds() if variant.cpu_seconds else 0.0
            measured = await run_load(variant.call, in_flight=in_flight, seconds=seconds, warm_up=WARM_UP)
            if measured.errors:
                raise RuntimeError(f"{name}: {measured.errors} of {measured.requests} requests failed")
            variant.p50_ms.append(measured.p50_ms)
            variant.per_second.append(measured.per_second)
            if variant.cpu_seconds:
                variant.cpu_ms.append((variant.cpu_seconds() - before) * 1000 / (measured.requests + WARM_UP))


def _row(name: str, in_flight: int, variant: _Variant, bare: _Variant) -> Overhead:
    return Overhead(
        name,
        in_flight,
        statistics.median(variant.p50_ms),
        statistics.median(variant.per_second),
        statistics.median(variant.cpu_ms) if variant.cpu_ms else None,
        _ratio(variant.p50_ms, bare.p50_ms),
        _ratio(variant.per_second, bare.per_second),
        _ratio(variant.cpu_ms, bare.cpu_ms) if variant.cpu_ms else None,
    )


def _ratio(values: Sequence[float], bases: Sequence[float]) -> float:
    return statistics.median(value / base for value, base in zip(values, bases, strict=True))
