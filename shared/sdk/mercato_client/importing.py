"""Sends any number of items in one stream of batches, a few ahead of their acknowledgements.

A lost stream is opened again: what was acknowledged is stored and not sent again, the rest is. Nothing is lost, and
what was stored without the acknowledgement arriving is recognised by its id.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from mercato.gateway.v1.product_service_pb2 import ImportProductsRequest
from mercato.gateway.v1.support_service_pb2 import ImportDocumentsRequest
from mercato.gateway.v1.user_event_service_pb2 import WriteUserEventStreamRequest

from mercato_client import streams
from mercato_client.problem import Problem, problem_of

MAX_BATCH_BYTES = 2 * 1024 * 1024
_PASSING = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)


@dataclass(frozen=True)
class Kind:
    """One kind of item: the request that carries a batch, the most items of one, what its acknowledgements count."""

    request: Callable[[Sequence[Any]], Any]
    max_items: int
    counts: tuple[str, ...]


_STORED = ("created_count", "updated_count", "unchanged_count")
PRODUCTS = Kind(lambda items: ImportProductsRequest(products=items), 500, _STORED)
DOCUMENTS = Kind(lambda items: ImportDocumentsRequest(documents=items), 100, _STORED)
_WRITTEN = ("accepted_count", "duplicate_count", "quarantined_count")
EVENTS = Kind(lambda items: WriteUserEventStreamRequest(events=items), 500, _WRITTEN)


@dataclass(frozen=True)
class Rejected:
    """One item that the gateway refused: its place from 0 in what was given, and the ``ItemError`` of the contract."""

    index: int
    error: Any


@dataclass
class ImportResult:
    """What became of an import."""

    sent: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """Such as ``created_count``: the sums of the acknowledgements."""
    rejected: list[Rejected] = field(default_factory=list)
    reconnects: int = 0


class ImportFailed(Exception):
    """The import could not go on. ``result`` says what is stored; the same import again goes on from there."""

    def __init__(self, problem: Problem, result: ImportResult) -> None:
        super().__init__(f"{problem.code.name}: {problem.message}")
        self.problem = problem
        self.result = result


@dataclass(frozen=True)
class _Batch:
    first: int
    items: list[Any]


class Import:
    """One import. ``on_progress`` is called after each acknowledgement."""

    def __init__(
        self,
        kind: Kind,
        method: Callable[[], Any],
        *,
        window: int = 6,
        patience_seconds: float = 120.0,
        on_progress: Callable[[ImportResult], None] = lambda result: None,
    ) -> None:
        self._kind = kind
        self._method = method
        self._window = window
        self._patience = patience_seconds
        self._on_progress = on_progress
        self._waiting: deque[_Batch] = deque()
        self._result = ImportResult()
        self._taken = 0
        self._progress = time.monotonic()

    async def run(self, items: Iterable[Any] | AsyncIterable[Any]) -> ImportResult:
        """Returns when everything is acknowledged. Raises ImportFailed."""
        batches, pause = self._batches(items), 0.2
        self._progress = time.monotonic()
        while True:
            began = self._progress
            try:
                await self._one_stream(batches)
                return self._result
            except grpc.aio.AioRpcError as error:
                problem = problem_of(error)
                if not _passing(problem) or time.monotonic() - self._progress > self._patience:
                    raise ImportFailed(problem, self._result) from error
                pause = 0.2 if self._progress > began else min(pause * 2, 5.0)
                self._result.reconnects += 1
                await asyncio.sleep(max(pause, problem.retry_after_seconds or 0.0))

    async def _one_stream(self, batches: AsyncIterator[_Batch]) -> None:
        call, self._taken = self._method(), 0
        try:
            for batch in tuple(self._waiting):
                await streams.write(call, self._kind.request(batch.items))
            async for batch in batches:
                self._waiting.append(batch)
                self._result.sent += len(batch.items)
                await streams.write(call, self._kind.request(batch.items))
                if len(self._waiting) >= self._window:
                    await self._take(call)
            while self._waiting:
                await self._take(call)
            await call.done_writing()
        finally:
            call.cancel()

    async def _take(self, call: Any) -> None:
        """Books the acknowledgement of the oldest batch."""
        answer = await streams.read(call)
        batch = self._waiting.popleft()
        # The gateway counts items from the beginning of its stream, batch by batch in order.
        first, self._taken = self._taken, self._taken + len(batch.items)
        for error in answer.rejected:
            self._result.rejected.append(Rejected(batch.first + error.index - first, error))
        self._result.counts.update({name: getattr(answer, name) for name in self._kind.counts})
        self._progress = time.monotonic()
        self._on_progress(self._result)

    async def _batches(self, items: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[_Batch]:
        first, batch, size = 0, list[Any](), 0
        async for item in _each(items):
            grown = size + item.ByteSize() + 8
            if batch and (len(batch) >= self._kind.max_items or grown > MAX_BATCH_BYTES):
                yield _Batch(first, batch)
                first, batch, grown = first + len(batch), [], item.ByteSize() + 8
            batch.append(item)
            size = grown
        if batch:
            yield _Batch(first, batch)


async def _each(items: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


def _passing(problem: Problem) -> bool:
    """Whether another stream may do better."""
    if problem.code is grpc.StatusCode.INTERNAL:
        return not problem.reason  # the connection broke; a defect of the gateway carries a reason
    return problem.code in _PASSING and problem.reason != "MESSAGE_TOO_LARGE"
