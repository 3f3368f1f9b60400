"""The floor: the same hops as empty grpc.aio services on this machine, measured in the same run."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from services.cli.bench.empty_service import METHOD

# Bytes of the answers of a typical recommendation, in the order of the pipeline; measured on the demo.
PROFILE_BYTES, RETRIEVAL_BYTES, RANKING_BYTES, CATALOG_BYTES, GATEWAY_BYTES = 20_000, 30_000, 2_000, 4_000, 3_000

PIPELINES: dict[str, list[list[str]]] = {
    "Recommend": [["profile"], ["retrieval"], ["ranking"], ["catalog"]],
    "Search": [["encoder", "profile"], ["retrieval"], ["catalog"]],
    "SimilarProducts": [["retrieval"], ["catalog"]],
    "WriteUserEvents": [["profile"]],
}
"""The hops of each rpc: stages in sequence, services of one stage in parallel."""

SIZES = {
    "profile": PROFILE_BYTES,
    "retrieval": RETRIEVAL_BYTES,
    "ranking": RANKING_BYTES,
    "catalog": CATALOG_BYTES,
    "encoder": 1_600,
}


@dataclass(frozen=True, slots=True)
class SuiteOf:
    """Of which services a suite is made."""

    module: str = "services.cli.bench.empty_service"
    method: str = METHOD
    environment: Mapping[str, str] = field(default_factory=dict)
    request: bytes = b""


@dataclass(frozen=True, slots=True)
class RunningSuite:
    """`call` sends request number n to the gateway."""

    call: Callable[[int], Awaitable[object]]
    pids: tuple[int, ...]

    def cpu_seconds(self) -> float:
        """CPU time of all of its processes so far."""
        ticks = 0
        for pid in self.pids:
            # After the name in brackets: user and system time are the 12th and 13th field.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def empty_suite(
    pipeline: Sequence[Sequence[str]],
) -> AsyncIterator[Any]:
    """An empty gateway over empty services, one process each; yields the call to the gateway."""
    async with suite_of(SuiteOf(), pipeline) as suite:
        yield lambda request: suite.call(0)


@asynccontextmanager
async def suite_of(kind: SuiteOf, pipeline: Sequence[Sequence[str]]) -> AsyncIterator[RunningSuite]:
    """A gateway over services, one process each."""
    async with AsyncExitStack() as stack:
        pids: list[int] = []

        def start(listen: str, size: int, stages: Sequence[str] = ()) -> None:
            process = start_module(kind.module, [listen, str(size), *stages], kind.environment)
            stack.callback(end_process, process)
            pids.append(process.pid)

        addresses: dict[str, str] = {}
        for name in dict.fromkeys(name for stage in pipeline for name in stage):
            addresses[name] = free_address()
            start(addresses[name], SIZES[name])
        gateway = free_address()
        start(gateway, GATEWAY_BYTES, ["+".join(addresses[name] for name in stage) for stage in pipeline])
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(gateway))
        call: Any = channel.unary_unary(kind.method)
        await _answering(lambda: call(kind.request, timeout=2))
        yield RunningSuite(lambda number: call(kind.request), tuple(pids))


def start_module(
    module: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """A Python process with more variables in its environment."""
    return subprocess.Popen([sys.executable, "-m", module, *arguments], env={**os.environ, **(environment or {})})


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Waits for its end."""
    process.terminate()
    process.wait()


async def _answering(call: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await call()
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.05)
            else:
                return


def free_address() -> str:
    """A loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
