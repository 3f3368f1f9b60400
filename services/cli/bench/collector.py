"""An OTLP collector that forgets what it receives: `python -m services.cli.bench.collector LISTEN`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
import uvloop
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc


class Forgetful(trace_service_pb2_grpc.TraceServiceServicer):
    """Says thanks."""

    async def Export(  # noqa: N802 - the contract's name
        self, request: pb.ExportTraceServiceRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ExportTraceServiceResponse:
        """Receives spans."""
        return pb.ExportTraceServiceResponse()


async def serve(listen: str) -> None:
    """Serves until it is killed."""
    server = grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Forgetful(), server)  # type: ignore[no-untyped-call]
    server.add_insecure_port(listen)
    await server.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
