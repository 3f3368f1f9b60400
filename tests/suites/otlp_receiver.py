"""A collector: receives spans over OTLP, from services by gRPC and from Triton by HTTP with JSON."""

from __future__ import annotations

import json
import threading
from concurrent import futures
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as a collector sees it."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str]
    events: tuple[str, ...]
    event_attributes: dict[str, str] = field(default_factory=dict)


class OtlpReceiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Use as a context manager. `spans` grows while others export."""

    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        self.bodies: list[bytes] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.http_url = f"http://127.0.0.1:{self._http.server_port}/v1/traces"

    def __enter__(self) -> Self:
        self._server.start()
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._server.stop(1).wait()

    def of(self, trace_id: str) -> list[ReceivedSpan]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def Export(  # noqa: N802 - the contract's name
        self, request: pb.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> pb.ExportTraceServiceResponse:
        self.bodies.append(request.SerializeToString())
        for resource in request.resource_spans:
            service = _values(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                for one in scope.spans:
                    self.spans.append(
                        ReceivedSpan(
                            service,
                            one.name,
                            one.trace_id.hex(),
                            one.span_id.hex(),
                            one.parent_span_id.hex(),
                            _values(one.attributes),
                            tuple(event.name for event in one.events),
                            {key: value for event in one.events for key, value in _values(event.attributes).items()},
                        )
                    )
        return pb.ExportTraceServiceResponse()

    def take_json(self, body: bytes) -> None:
        """Takes what Triton exports."""
        self.bodies.append(body)
        for resource in json.loads(body)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for one in scope["spans"]:
                    attributes = {item["key"]: str(item["value"]) for item in one.get("attributes", ())}
                    events = tuple(event["name"] for event in one.get("events", ()))
                    ids = one["traceId"], one["spanId"], one.get("parentSpanId", "")
                    self.spans.append(ReceivedSpan("triton", one["name"], *ids, attributes, events))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802 - the base's name
                receiver.take_json(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        return Handler


def _values(attributes: Any) -> dict[str, str]:
    return {one.key: str(getattr(one.value, one.value.WhichOneof("value"))) for one in attributes}
