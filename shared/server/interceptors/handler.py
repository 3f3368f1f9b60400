"""Base of the interceptors: wraps the handler of each method once, unary and streaming alike.

A streaming handler is wrapped around its iteration, so that an error raised while iterating is seen.
Methods of gRPC's own services (health, reflection) pass through untouched.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any

import grpc

Context = grpc.aio.ServicerContext[Any, Any]
Behaviour = Callable[[Any, Any], Any]
_INFRASTRUCTURE = "/grpc."


@dataclass(frozen=True, slots=True)
class Rpc:
    """The method being called."""

    method: str
    """``/mercato.catalog.v1.ProductService/GetProduct``."""
    request_streaming: bool
    response_streaming: bool

    @property
    def unary(self) -> bool:
        """Whether one message goes in and one comes out."""
        return not (self.request_streaming or self.response_streaming)


class RpcInterceptor(grpc.aio.ServerInterceptor):
    """An interceptor that acts around each call; subclasses override ``around`` and, rarely, ``incoming``."""

    def __init__(self) -> None:
        self._wrapped: dict[str, tuple[Any, Any]] = {}

    def around(self, rpc: Rpc, context: Context) -> AbstractAsyncContextManager[None]:
        """Entered before the handler, left after its last response (or its error)."""
        raise NotImplementedError

    def incoming(self, rpc: Rpc, request: Any) -> Any:
        """The request, or the iterator of requests, that the handler shall see."""
        return request

    def deserializer(self, original: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
        """What turns the bytes of a request into a message."""
        return original

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Called by gRPC for each call. The same inner handler gets the same wrapping."""
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None or method.startswith(_INFRASTRUCTURE):
            return handler
        known = self._wrapped.get(method)
        if known is None or known[0] is not handler:
            known = self._wrapped[method] = (handler, self._wrap(method, handler))
        return known[1]

    def _wrap(self, method: str, handler: Any) -> Any:
        """``handler`` with this interceptor around it."""
        rpc = Rpc(method, bool(handler.request_streaming), bool(handler.response_streaming))
        coders = {
            "request_deserializer": self.deserializer(handler.request_deserializer),
            "response_serializer": handler.response_serializer,
        }
        make, behaviour = _KINDS[rpc.request_streaming, rpc.response_streaming]
        wrap = self._stream if rpc.response_streaming else self._unary
        return make(wrap(rpc, getattr(handler, behaviour)), **coders)

    def _unary(self, rpc: Rpc, behaviour: Behaviour) -> Behaviour:
        """A handler with one response."""

        async def respond(request: Any, context: Any) -> Any:
            async with self.around(rpc, context):
                incoming = self.incoming(rpc, request)
                try:
                    return await behaviour(incoming, context)
                finally:
                    if rpc.request_streaming:
                        await _close(incoming)

        return respond

    def _stream(self, rpc: Rpc, behaviour: Behaviour) -> Behaviour:
        """A handler with a stream of responses."""

        async def respond(request: Any, context: Any) -> AsyncIterator[Any]:
            async with self.around(rpc, context):
                incoming = self.incoming(rpc, request)
                try:
                    responses = behaviour(incoming, context)
                    if inspect.isawaitable(responses):  # the handler calls context.write itself
                        await responses
                        return
                    async with aclosing(responses):
                        async for response in responses:
                            yield response
                finally:
                    if rpc.request_streaming:
                        await _close(incoming)

        return respond


async def _close(incoming: Any) -> None:
    """Ends requests that the handler read no further: what is held between two of them would be held until the
    garbage collector comes by."""
    if inspect.isasyncgen(incoming) and not incoming.ag_running:
        await incoming.aclose()


_KINDS: dict[tuple[bool, bool], tuple[Callable[..., Any], str]] = {
    (False, False): (grpc.unary_unary_rpc_method_handler, "unary_unary"),
    (False, True): (grpc.unary_stream_rpc_method_handler, "unary_stream"),
    (True, False): (grpc.stream_unary_rpc_method_handler, "stream_unary"),
    (True, True): (grpc.stream_stream_rpc_method_handler, "stream_stream"),
}
"""By (request streaming, response streaming): how to make such a handler, and where it keeps its function."""


def metadata_value(context: Context, key: str) -> str:
    """The first value of ``key`` in the call's metadata; empty when there is none."""
    for name, value in context.invocation_metadata() or ():
        if name == key:
            return value if isinstance(value, str) else value.decode("utf-8", "replace")
    return ""
