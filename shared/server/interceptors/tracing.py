"""Tracing: a span for each call, in the trace that the caller's ``traceparent`` names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from opentelemetry.trace import StatusCode

from shared.context.request import REQUEST_ID_METADATA, current_request_id
from shared.server.interceptors.handler import Context, Rpc, RpcInterceptor, metadata_value
from shared.server.interceptors.outcome import outcome
from shared.telemetry.tracing import TRACE_ID_METADATA, TRACEPARENT, current_trace_id, server_span

_SERVER_ERRORS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
"""What OpenTelemetry's conventions call the server's fault."""

_NOTHING = nullcontext()


class TracingInterceptor(RpcInterceptor):
    """Makes the trace known to logs; at the ``edge`` its id to the client, in the trailing metadata."""

    def __init__(self, *, edge: bool, trusting: bool) -> None:
        super().__init__()
        self._edge = edge
        self._trusting = trusting
        self._attributes: dict[str, dict[str, str]] = {}

    def around(self, rpc: Rpc, context: Context) -> AbstractAsyncContextManager[None]:
        traceparent = metadata_value(context, TRACEPARENT)
        # Services of ours name a trace only where it is recorded.
        return self._traced(rpc, context, traceparent) if traceparent or self._edge else _NOTHING

    @asynccontextmanager
    async def _traced(self, rpc: Rpc, context: Context, traceparent: str) -> AsyncIterator[None]:
        error: BaseException | None = None
        with server_span(rpc.method[1:], traceparent, self._of(rpc), trusting=self._trusting) as span:
            if self._edge:
                context.set_trailing_metadata(
                    ((REQUEST_ID_METADATA, current_request_id()), (TRACE_ID_METADATA, current_trace_id()))
                )
            try:
                yield
            except BaseException as raised:
                error = raised
                raise
            finally:
                if span.is_recording():
                    code = outcome(context, error)
                    span.set_attribute("rpc.response.status_code", code)
                    if code in _SERVER_ERRORS:
                        span.set_status(StatusCode.ERROR, code)

    def _of(self, rpc: Rpc) -> dict[str, str]:
        """Attributes of a method."""
        found = self._attributes.get(rpc.method)
        if found is None:
            found = {"rpc.system.name": "grpc", "rpc.method": rpc.method[1:]}
            self._attributes[rpc.method] = found
        return found
