"""The floor: the same hops as empty grpc.aio services on this machine, measured in the same run."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
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


@asynccontextmanager
async def empty_suite(
    pipeline: Sequence[Sequence[str]],
) -> AsyncIterator[Any]:
    """An empty gateway over empty services, one process each; yields the call to the gateway."""
    async with AsyncExitStack() as stack:
        addresses: dict[str, str] = {}
        for name in dict.fromkeys(name for stage in pipeline for name in stage):
            addresses[name] = _free_address()
            stack.callback(_end, _start(addresses[name], SIZES[name], []))
        gateway = _free_address()
        stages = ["+".join(addresses[name] for name in stage) for stage in pipeline]
        stack.callback(_end, _start(gateway, GATEWAY_BYTES, stages))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(gateway))
        call: Any = channel.unary_unary(METHOD)
        await _answering(call)
        yield call


def _start(listen: str, size: int, stages: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "services.cli.bench.empty_service", listen, str(size), *stages])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()


async def _answering(call: Any) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await call(b"", timeout=2)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.05)
            else:
                return


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
