"""An empty service as `empty_service`, but behind the suite's own server and client interceptors.

`python -m services.cli.bench.intercepted_service LISTEN ANSWER_BYTES [STAGE…]`. Traces by the variables of the suite.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from typing import Any

import grpc
import uvloop
from google.protobuf.wrappers_pb2 import BytesValue

from shared.client.channel import open_channel
from shared.server.interceptors.order import interceptors
from shared.settings.base import ServiceSettings
from shared.telemetry.exporting import exporting
from shared.telemetry.logs import configure_logs

METHOD = "/mercato.bench.Intercepted/Call"


async def serve(listen: str, answer: bytes, stages: list[list[str]]) -> None:
    """Serves until SIGTERM."""
    async with AsyncExitStack() as stack:
        calls: list[list[Any]] = [
            [
                (await stack.enter_async_context(open_channel(peer, service="bench"))).unary_unary(
                    METHOD, BytesValue.SerializeToString, BytesValue.FromString
                )
                for peer in peers
            ]
            for peers in stages
        ]

        async def handle(request: BytesValue, context: grpc.aio.ServicerContext[Any, Any]) -> BytesValue:
            for peers in calls:
                await asyncio.gather(*(call(request) for call in peers))
            return BytesValue(value=answer)

        call = grpc.unary_unary_rpc_method_handler(handle, BytesValue.FromString, BytesValue.SerializeToString)
        handlers: dict[str, Any] = {"Call": call}
        # Limits would hide what is measured; the log goes nowhere anyway.
        settings = ServiceSettings(access_log=False, adaptive_limit=False)
        server = grpc.aio.server(interceptors=interceptors(settings, edge=bool(stages)))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("mercato.bench.Intercepted", handlers),))
        server.add_insecure_port(listen)
        await server.start()
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()
        await server.stop(0)


if __name__ == "__main__":
    configure_logs("bench", level="warning")
    with exporting("bench"):
        uvloop.run(serve(sys.argv[1], bytes(int(sys.argv[2])), [stage.split("+") for stage in sys.argv[3:]]))
