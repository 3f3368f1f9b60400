"""One connection to Milvus: time limits, errors, and what a restarted server needs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import grpc
from pymilvus import AsyncMilvusClient, MilvusClient, MilvusException
from pymilvus.client.types import LoadState

from shared.context.request import remaining_seconds
from shared.errors.base import DeadlineExceeded, Internal, MercatoError, ResourceExhausted, Unavailable
from shared.telemetry.logs import logger
from shared.telemetry.metrics import QUEUE_SECONDS, counter, histogram
from shared.telemetry.tracing import client_span

DEPENDENCY = "milvus"
SECONDS = histogram("retrieval_milvus_seconds", "Duration of requests to Milvus.", ("operation",))
FAILURES = counter("retrieval_milvus_failures_total", "Failed requests to Milvus.", ("operation",))
T = TypeVar("T")
Call = Callable[[AsyncMilvusClient, float], Awaitable[T]]
"""A call of the client given, with the seconds that it may take."""

_log = logger("milvus")
_CONNECT_FAILED, _WRONG_EXPRESSION, _COLLECTION_NOT_FOUND, _NOT_LOADED = 2, 6, 100, 101
_GRPC = {
    # pymilvus pings every 10 s by default, which long calls answer with GOAWAY too_many_pings.
    "grpc.keepalive_time_ms": 300_000,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1_000,
}


@dataclass(frozen=True, slots=True)
class MilvusConfig:
    """How the server is reached and how long it may take."""

    uri: str
    token: str = ""
    seconds: float = 10.0
    """For one read."""
    write_seconds: float = 60.0
    """For one write, a flush, and changes of collections."""
    concurrency: int = 4
    """Searches at once."""
    queue: int = 64
    """Searches that may wait; one more is refused."""


class CollectionMissing(Unavailable):
    """A collection that should be there is not: it was dropped, or the server lost its data."""

    def __init__(self) -> None:
        super().__init__(DEPENDENCY, metadata={"detail": "a collection is missing"})


class MilvusConnection:
    """Use as an async context manager. Milvus may be down when it is opened, and may come and go."""

    def __init__(self, config: MilvusConfig) -> None:
        self.config = config
        self.is_lite = False
        self._client: AsyncMilvusClient | None = None
        self._searches = asyncio.Semaphore(config.concurrency)
        self._waiting = 0

    async def __aenter__(self) -> Self:
        # Every failure would be logged with its traceback; we say it in one line where it matters.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        self._client = AsyncMilvusClient(
            uri=self.config.uri,
            token=self.config.token,
            timeout=self.config.seconds,
            dedicated=True,
            grpc_options=dict(_GRPC),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def check(self) -> None:
        """Raises Unavailable when the server does not answer. Notes which kind of server it is."""
        version = await self.call("check", lambda client, seconds: client.get_server_version(timeout=seconds))
        self.is_lite = "lite" in str(version).lower()

    async def call(self, operation: str, call: Call[T], *, write: bool = False) -> T:
        """Calls the server. Raises Unavailable, CollectionMissing, DeadlineExceeded; Internal for a wrong request."""
        if self._client is None:
            raise Internal("MilvusConnection is not open: use it in 'async with'")
        seconds, left = self.config.write_seconds if write else self.config.seconds, remaining_seconds()
        seconds = seconds if left is None else min(seconds, left)
        if seconds <= 0:
            raise DeadlineExceeded(metadata={"dependency": DEPENDENCY})
        try:
            attributes = {"db.system.name": DEPENDENCY, "db.operation.name": operation}
            with SECONDS.labels(operation).time(), client_span(f"milvus {operation}", attributes):
                async with asyncio.timeout(seconds):
                    return await call(self._client, seconds)
        except (MilvusException, grpc.RpcError, TimeoutError) as error:
            FAILURES.labels(operation).inc()
            raise _translated(error, operation, late=left is not None and seconds >= left) from error

    async def load(self, name: str) -> None:
        """Loads a collection; a restarted Milvus Lite has none loaded."""

        async def load(client: AsyncMilvusClient, seconds: float) -> None:
            state = await client.get_load_state(name, timeout=seconds)
            if state.get("state") != LoadState.Loaded:
                await client.load_collection(name, timeout=seconds)

        await self.call("load", load, write=True)

    async def admin(self, work: Callable[[MilvusClient], None]) -> None:
        """Runs rare work with the synchronous client: creating an index fails on Lite with the asynchronous one."""

        def run() -> None:
            client = MilvusClient(
                uri=self.config.uri, token=self.config.token, timeout=self.config.seconds, dedicated=True
            )
            try:
                work(client)
            finally:
                client.close()

        await self.call("admin", lambda _, __: asyncio.to_thread(run), write=True)

    @asynccontextmanager
    async def search_slot(self) -> AsyncIterator[None]:
        """Held while searching. Raises ResourceExhausted when too many wait already."""
        if self._waiting >= self.config.queue:
            raise ResourceExhausted("too many searches are waiting", retry_after_seconds=0.5)
        self._waiting += 1
        try:
            with QUEUE_SECONDS.labels("milvus_searches").time():
                await self._searches.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._searches.release()


class NotLoaded(Unavailable):
    """The collection is there but not loaded."""

    def __init__(self) -> None:
        super().__init__(DEPENDENCY, metadata={"detail": "a collection is not loaded"})


def _translated(error: Exception, operation: str, *, late: bool) -> MercatoError:
    """The error as one of ours."""
    if isinstance(error, TimeoutError) or "Retry timeout" in str(error):
        return DeadlineExceeded(metadata={"dependency": DEPENDENCY}) if late else Unavailable(DEPENDENCY)
    code = error.code if isinstance(error, MilvusException) else 0
    text = str(error)
    if code == _NOT_LOADED or "not loaded" in text:
        return NotLoaded()
    if code == _COLLECTION_NOT_FOUND:
        return CollectionMissing()
    if code == _WRONG_EXPRESSION or (code == 1 and "expression" in text):
        return Internal(f"Milvus refused an expression ({operation}): {text[:300]}")
    if code != _CONNECT_FAILED:  # health says when the server is away
        _log.warning("milvus failed", operation=operation, error=text[:300])
    return Unavailable(DEPENDENCY, metadata={"operation": operation})
