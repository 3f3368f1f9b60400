"""Nearest products by vector: compared here where few are left by the filter, found by Milvus otherwise."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.candidates import Channel
from services.retrieval.domain.filter import ProductFilter
from services.retrieval.domain.index import LiveIndex
from services.retrieval.domain.product import Hit, Vector
from services.retrieval.domain.recent_vectors import RecentVectors
from services.retrieval.domain.vectors import best
from services.retrieval.indexes import Indexes
from shared.context.request import remaining_seconds, use_deadline
from shared.errors.base import DeadlineExceeded
from shared.telemetry.metrics import CacheMeter, counter, histogram

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
T = TypeVar("T")

CHANNEL_SECONDS = histogram("retrieval_channel_seconds", "Duration of a channel.", ("channel",))
CHANNEL_FAILURES = counter("retrieval_channel_failures_total", "Channels that failed.", ("channel",))
CHANNEL_SIZE = histogram(
    "retrieval_channel_size", "Products that a channel brought.", ("channel",), (0, 1, 10, 50, 100, 200, 500, 1000)
)
LOOKUPS = CacheMeter("content_neighbours")
THREAD_NUMBERS = 4_000_000
"""Comparing more numbers than this (about 1.5 ms) is done in a thread, so that other calls go on."""
_ANSWER_SHARE = 0.85
"""Share of the request's time that a channel may use; the rest is for the answer."""
_MOST_EXTRA = 500


@dataclass(frozen=True, slots=True)
class NearestPolicy:
    """See the settings of the same names."""

    exact_scan_products: int = 50_000
    content_cache: int = 2_000
    content_cache_seconds: float = 30.0
    vector_cache: int = 20_000


class Nearest:
    """Answers with rows of an index's table."""

    def __init__(self, indexes: Indexes, policy: NearestPolicy) -> None:
        self._indexes = indexes
        self._policy = policy
        lookups = CacheMeter("product_vectors")
        self._vectors: RecentVectors[tuple[str, str, int]] = RecentVectors(policy.vector_cache, lookups.count)
        self._answers: OrderedDict[bytes, tuple[float, list[Hit]]] = OrderedDict()

    async def vectors(self, index: LiveIndex, rows: Rows) -> Floats:
        """Vectors `[N, D]` of rows. Raises Unavailable."""
        table = index.table
        if table.vectors.complete:
            return table.vectors.get(rows)
        # The change number in the key leaves vectors of earlier texts behind.
        keys = [(index.info.name, table.ids[row], table.change_number(table.ids[row]) or 0) for row in rows.tolist()]

        async def read(missing: list[tuple[str, str, int]]) -> dict[tuple[str, str, int], Vector]:
            vectors = await self._indexes.port.read_vectors(index.info, [key[1] for key in missing])
            return {key: vectors[key[1]] for key in missing if key[1] in vectors}

        found = await self._vectors.of(keys, read)
        nothing = np.zeros(index.info.dimension, np.float32)
        return np.stack([found.get(key, nothing) for key in keys]) if keys else np.empty((0, len(nothing)), np.float32)

    async def find(
        self,
        index: LiveIndex,
        query: Vector,
        wanted: ProductFilter,
        allowed: Bools,
        limit: int,
        *,
        remember: bool = False,
    ) -> tuple[Rows, Floats]:
        """Rows nearest to a unit vector among those allowed, with cosines, best first.

        `allowed` says what `wanted` does and may leave out more. Raises Unavailable, DeadlineExceeded.
        """
        vectors = index.table.vectors
        if vectors.complete:
            rows = np.flatnonzero(allowed)
            if len(rows) <= self._policy.exact_scan_products:
                return best(await _scores(index, query, rows), rows, limit)
        hits = await self._ask(index, query, wanted, _with_room(limit, wanted, allowed, index), remember=remember)
        return rows_of(index, hits, allowed, limit)

    async def _ask(
        self, index: LiveIndex, query: Vector, wanted: ProductFilter, limit: int, *, remember: bool
    ) -> list[Hit]:
        if not remember or not self._policy.content_cache:
            return await self._indexes.port.search_vector(index.info, query, wanted, limit)
        key = _key(index, query, wanted.conditions, limit)
        kept = self._answers.get(key)
        fresh = kept is not None and time.monotonic() < kept[0]
        LOOKUPS.count(hits=fresh, misses=not fresh)
        if kept is not None and fresh:
            self._answers.move_to_end(key)
            return kept[1]
        hits = await self._indexes.port.search_vector(index.info, query, wanted, limit)
        self._answers[key] = (time.monotonic() + self._policy.content_cache_seconds, hits)
        while len(self._answers) > self._policy.content_cache:
            self._answers.popitem(last=False)
        return hits


def rows_of(index: LiveIndex, hits: Sequence[Hit], allowed: Bools, limit: int) -> tuple[Rows, Floats]:
    """Hits as rows; those that memory knows to be gone or not allowed are left out."""
    table = index.table
    found = [(row, hit.score) for hit in hits if (row := table.row(hit.product_id)) is not None]
    # `allowed` was made before the search; a row that came since is not in it.
    kept = [(row, score) for row, score in found if row < len(allowed) and allowed[row] and table.live[row]][:limit]
    return np.array([row for row, _ in kept], np.int64), np.array([score for _, score in kept], np.float32)


async def limited(channel: Channel, seconds: float, work: Awaitable[T]) -> T:
    """Waits for a channel as `within` does, and notes how long. Raises DeadlineExceeded."""
    with CHANNEL_SECONDS.labels(channel.name).time():
        return await within(seconds, work)


async def within(seconds: float, work: Awaitable[T]) -> T:
    """Waits at most `seconds` and not past a share of the request's own time. Raises DeadlineExceeded."""
    left = remaining_seconds()
    seconds = seconds if left is None else min(seconds, left * _ANSWER_SHARE)
    try:
        with use_deadline(seconds):
            async with asyncio.timeout(seconds):
                return await work
    except TimeoutError:
        raise DeadlineExceeded(f"no answer within {seconds * 1000:.0f} ms") from None


async def _scores(index: LiveIndex, query: Vector, rows: Rows) -> Floats:
    vectors = index.table.vectors
    every = len(rows) * 2 > index.table.size  # gathering rows costs more than comparing those not asked for
    if not every:
        return vectors.scores(query, rows)
    if index.table.size * vectors.dimension < THREAD_NUMBERS:
        return vectors.scores(query)[rows]
    scores = await asyncio.to_thread(vectors.scores, query)
    return scores[rows]


def _with_room(limit: int, wanted: ProductFilter, allowed: Bools, index: LiveIndex) -> int:
    """Results to ask for, so that enough are left without the products that the expression does not exclude."""
    passing = index.table.mask(wanted.conditions)[: len(allowed)]
    return limit + min(_MOST_EXTRA, int((passing & ~allowed).sum()))


def _key(index: LiveIndex, query: Vector, wanted: ProductFilter, limit: int) -> bytes:
    # Rounded, so that the order of summation makes no difference.
    content = np.round(query, 5).tobytes() + repr((index.info.name, limit, _sorted(wanted))).encode()
    return blake2b(content, digest_size=16).digest()


def _sorted(wanted: ProductFilter) -> tuple[object, ...]:
    attributes = [(one.name, sorted(one.texts), one.low, one.high) for one in wanted.attributes]
    return (
        sorted(wanted.categories),
        sorted(wanted.brands),
        wanted.low_micros,
        wanted.high_micros,
        wanted.include_unavailable,
        attributes,
    )
