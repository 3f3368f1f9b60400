"""The client for programs without asyncio: the same calls, made on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from mercato.gateway.v1.product_pb2 import Product
from mercato.gateway.v1.support_document_pb2 import SupportDocument
from mercato.gateway.v1.user_event_pb2 import UserEvent

from mercato_client.client import AsyncMercato
from mercato_client.importing import ImportResult
from mercato_client.options import Options

Q = TypeVar("Q")
R = TypeVar("R")
_END = object()


class Mercato:
    """``with Mercato("127.0.0.1:50050") as mercato: mercato.call(mercato.stubs.searching.Search, SearchRequest(...))``.

    May be used by several threads at once.
    """

    def __init__(self, address: str, options: Options | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mercato", daemon=True)
        self._thread.start()
        self.stubs = self._run(_made(address, options))
        """The asyncio client, whose stubs name the methods."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection and the thread."""
        self._run(self.stubs.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, method: grpc.aio.UnaryUnaryMultiCallable[Q, R], request: Q, *, timeout: float | None = None) -> R:
        """One answer. Raises ``grpc.aio.AioRpcError``."""

        async def made() -> R:
            return await method(request, timeout=timeout)

        return self._run(made())

    def stream(
        self, method: grpc.aio.UnaryStreamMultiCallable[Q, R], request: Q, *, timeout: float | None = None
    ) -> Iterator[R]:
        """The parts of a streamed answer as they arrive. Leaving the loop early ends the call."""

        async def opened() -> Any:
            return method(request, timeout=timeout)

        call = self._run(opened())
        parts: AsyncIterator[R] = call.__aiter__()
        try:
            while (part := self._run(_next(parts))) is not _END:
                yield part
        finally:
            self._loop.call_soon_threadsafe(call.cancel)

    def import_products(self, items: Iterable[Product]) -> ImportResult:
        """See AsyncMercato, here and below."""
        return self._run(self.stubs.import_products(items))

    def import_events(self, items: Iterable[UserEvent]) -> ImportResult:
        """Any number of events."""
        return self._run(self.stubs.import_events(items))

    def import_documents(self, items: Iterable[SupportDocument]) -> ImportResult:
        """Any number of documents."""
        return self._run(self.stubs.import_documents(items))

    def _run(self, work: Coroutine[Any, Any, R]) -> R:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _made(address: str, options: Options | None) -> AsyncMercato:
    """On the loop's thread: a channel belongs to the loop that it was made on."""
    return AsyncMercato(address, options)


async def _next(parts: AsyncIterator[R]) -> Any:
    return await anext(parts, _END)
