"""An empty grpc.aio service: answers a constant, after calling its peers. The floor that real ones are compared with.

`python -m services.cli.bench.empty_service LISTEN ANSWER_BYTES [STAGE…]`: each STAGE is `address` or `address+address`;
stages are called in sequence, the addresses of one stage in parallel. No interceptors, no messages, no work.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import grpc
import uvloop

METHOD = "/mercato.bench.Empty/Call"


async def serve(listen: str, answer: bytes, stages: list[list[str]]) -> None:
    """Serves until SIGTERM."""
    calls: list[list[Any]] = [
        [grpc.aio.insecure_channel(peer).unary_unary(METHOD) for peer in peers] for peers in stages
    ]

    async def handle(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        for peers in calls:
            if len(peers) == 1:
                await peers[0](request)
            else:
                await asyncio.gather(*(call(request) for call in peers))
        return answer

    handlers: dict[str, Any] = {"Call": grpc.unary_unary_rpc_method_handler(handle)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("mercato.bench.Empty", handlers),))
    server.add_insecure_port(listen)
    await server.start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], bytes(int(sys.argv[2])), [stage.split("+") for stage in sys.argv[3:]]))
