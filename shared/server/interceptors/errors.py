"""Errors: turns what a handler raises into a status with details. The only place that aborts a call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from shared.context.request import current_request_id
from shared.errors.base import Internal
from shared.errors.mapping import from_exception, to_status
from shared.server.interceptors.handler import Context, Rpc, RpcInterceptor
from shared.telemetry.logs import logger
from shared.telemetry.tracing import current_trace_id

_log = logger("errors")
_UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED


class ErrorsInterceptor(RpcInterceptor):
    """Maps domain errors, failed calls of other services and time-outs; an unforeseen exception is INTERNAL."""

    @asynccontextmanager
    async def around(self, rpc: Rpc, context: Context) -> AsyncIterator[None]:
        try:
            yield
        except grpc.aio.AbortError:
            raise  # the status is sent already; a second abort would be a usage error
        except NotImplementedError:
            # What generated base classes raise for a method that the servicer lacks.
            await context.abort(_UNIMPLEMENTED, "method not implemented")
        except Exception as exception:  # cancellation is no Exception and passes
            status = self._status(rpc, exception)
            # A status brings metadata of its own in place of what was set before: the ids of request and trace.
            metadata = (*(context.trailing_metadata() or ()), *(status.trailing_metadata or ()))
            await context.abort(status.code, status.details, metadata)

    def _status(self, rpc: Rpc, exception: Exception) -> grpc.Status:
        """The status for ``exception``; writes a traceback for defects only."""
        request_id = current_request_id()
        error = from_exception(exception)
        if error is None or isinstance(error, Internal):
            _log.error("internal error", method=rpc.method, request_id=request_id, exc_info=exception)
            error = error or Internal()
        return to_status(error, request_id=request_id, trace_id=current_trace_id())
