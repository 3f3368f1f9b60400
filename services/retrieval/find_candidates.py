"""Brings candidates for one person from several channels at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.candidates import (
    DEFAULT_CHANNELS,
    Candidates,
    Channel,
    FailedChannel,
    Seeds,
    bought_together,
    buy_again,
    by_behaviour,
    from_order,
    merge,
    popular_in_categories,
)
from services.retrieval.domain.filter import EVERYTHING, ProductFilter
from services.retrieval.domain.index import LiveIndex
from services.retrieval.domain.product import Vector
from services.retrieval.domain.release import ReleaseLists, score_neighbours
from services.retrieval.domain.shelf import Shelf
from services.retrieval.domain.table import ProductTable
from services.retrieval.domain.vectors import weighted_mean
from services.retrieval.indexes import Indexes
from services.retrieval.nearest import CHANNEL_FAILURES, CHANNEL_SECONDS, CHANNEL_SIZE, Nearest, limited
from services.retrieval.ports import Releases
from shared.errors.base import MercatoError, Unavailable

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
LEARNT = frozenset({Channel.BOUGHT_TOGETHER, Channel.BEHAVIOUR, Channel.TRENDING, Channel.POPULAR_IN_CATEGORY})
"""Channels that need a release; without one, POPULAR brings the newest."""


@dataclass(frozen=True, slots=True)
class CandidatePolicy:
    """See the settings of the same names."""

    content_seconds: float = 0.3
    new_days: int = 30


@dataclass(frozen=True, slots=True)
class CandidateRequest:
    """What is asked for. Channels empty: all that are for persons."""

    seeds: Seeds = field(default_factory=Seeds)
    exclude_bought: bool = False
    categories: Sequence[str] = ()
    wanted: ProductFilter = EVERYTHING
    excluded: Sequence[str] = ()
    channels: Sequence[Channel] = DEFAULT_CHANNELS
    channel_size: int = 200
    buy_again_size: int = 200
    release_id: str = ""
    """Empty: the current one."""
    user_vector: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    """By the behaviour model of the release; empty: not known."""


@dataclass(frozen=True, slots=True)
class FoundCandidates:
    """Rows of `table` with their scores, in columns."""

    table: ProductTable
    candidates: Candidates
    neighbour_scores: Floats
    neighbour_seeds: npt.NDArray[np.int32]
    content_scores: Floats
    behaviour_scores: Floats
    """Empty when there is no user vector."""
    failed: list[FailedChannel] = field(default_factory=list)
    release_id: str = ""


class FindCandidates:
    """One request: the vector channel runs while the others are answered from memory."""

    def __init__(self, indexes: Indexes, releases: Releases, nearest: Nearest, policy: CandidatePolicy) -> None:
        self._indexes = indexes
        self._releases = releases
        self._nearest = nearest
        self._policy = policy

    async def __call__(self, tenant: str, request: CandidateRequest) -> FoundCandidates:
        """Raises Unavailable when no channel could answer."""
        index = (await self._indexes.of(tenant)).active
        lists = self._releases.of(tenant, request.release_id)
        if index is None:
            return _nothing(lists)
        search = _Search(index, lists, index.shelf(lists, self._policy.new_days), request)
        content = asyncio.create_task(self._content(search)) if search.wants(Channel.SIMILAR_TO_RECENT) else None
        try:
            if content is not None:
                await asyncio.sleep(0)  # sends the question to Milvus before this thread is busy
            search.answer_from_memory()
        except BaseException:
            if content is not None:
                content.cancel()
            raise
        mean = await content if content is not None else None
        return search.result(mean)

    async def _content(self, search: _Search) -> Vector | None:
        """Runs the channel; returns the mean vector of the content seeds. Notes a failure."""
        channel = Channel.SIMILAR_TO_RECENT
        try:
            return await limited(channel, self._policy.content_seconds, self._similar(search))
        except MercatoError as error:
            search.fail(channel, str(error))
            if isinstance(error, Unavailable):
                self._indexes.doubt()
            return search.mean

    async def _similar(self, search: _Search) -> Vector | None:
        rows, weights = search.content_seeds()
        if not len(rows):
            return None
        mean = weighted_mean(await self._nearest.vectors(search.index, rows), weights)
        search.mean = mean
        if mean is not None:
            wanted, size = search.request.wanted, search.request.channel_size
            found = await self._nearest.find(search.index, mean, wanted, search.allowed, size, remember=True)
            search.bring(Channel.SIMILAR_TO_RECENT, found[0])
            search.cosines = found
        return mean


class _Search:
    """The state of one request."""

    def __init__(self, index: LiveIndex, lists: ReleaseLists | None, shelf: Shelf, request: CandidateRequest) -> None:
        self.index = index
        self.request = request
        self.mean: Vector | None = None
        self.cosines: tuple[Rows, Floats] = (np.empty(0, np.int64), np.empty(0, np.float32))
        self.allowed = index.table.mask(request.wanted)
        self.allowed[index.table.rows(request.excluded)] = False
        self._seed_rows = index.table.places(request.seeds.product_ids)
        if request.exclude_bought:
            self.allowed[self._seed_rows[request.seeds.bought & (self._seed_rows >= 0)]] = False
        self._lists = lists
        self._shelf = shelf
        self._brought: dict[Channel, Rows] = {channel: np.empty(0, np.int64) for channel in request.channels}
        self._failed: list[FailedChannel] = []
        seeds = request.seeds
        self._neighbours = score_neighbours(lists, seeds.product_ids, seeds.weights) if lists is not None else None
        none = np.zeros(len(self.allowed), np.float32)
        self._scores = shelf.by_row(self._neighbours.scores) if self._neighbours is not None else none
        self._behaviour = shelf.behaviour_scores(request.user_vector) if len(request.user_vector) else none

    def wants(self, channel: Channel) -> bool:
        return channel in self._brought

    def bring(self, channel: Channel, rows: Rows) -> None:
        self._brought[channel] = rows
        CHANNEL_SIZE.labels(channel.name).observe(len(rows))

    def fail(self, channel: Channel, cause: str) -> None:
        self._failed.append(FailedChannel(channel, cause))
        CHANNEL_FAILURES.labels(channel.name).inc()

    def content_seeds(self) -> tuple[Rows, npt.NDArray[np.float64]]:
        """Rows and weights of the seeds of the vector channel."""
        weights = self.request.seeds.content_weights
        chosen = np.flatnonzero((weights > 0) & (self._seed_rows >= 0))
        return self._seed_rows[chosen], weights[chosen]

    def answer_from_memory(self) -> None:
        for channel in self._brought:
            if channel is Channel.SIMILAR_TO_RECENT:
                continue
            if channel in LEARNT and self._lists is None:
                continue  # nothing has been learnt yet: that is no failure
            began = time.perf_counter()
            self.bring(channel, self._rows(channel))
            CHANNEL_SECONDS.labels(channel.name).observe(time.perf_counter() - began)

    def result(self, mean: Vector | None) -> FoundCandidates:
        if self._failed and len(self._failed) == len(self._brought):
            raise Unavailable("milvus", metadata={"detail": self._failed[0].cause})
        table = self.index.table
        size = len(self.allowed)
        candidates = merge(self._brought, size, table.live)
        rows = candidates.rows
        return FoundCandidates(
            table=table,
            candidates=candidates,
            neighbour_scores=self._scores[rows],
            neighbour_seeds=self._strongest_seeds(rows),
            content_scores=self._content_scores(rows, mean, size),
            behaviour_scores=self._behaviour[rows] if len(self.request.user_vector) else np.empty(0, np.float32),
            failed=self._failed,
            release_id=self._lists.release_id if self._lists else "",
        )

    def _rows(self, channel: Channel) -> Rows:
        size, allowed = self.request.channel_size, self.allowed
        if channel is Channel.BUY_AGAIN:
            own = self.request.seeds.bought & (self._seed_rows >= 0)
            weights = self.request.seeds.weights[own]
            return buy_again(self._seed_rows[own], weights, allowed, self.request.buy_again_size)
        if channel is Channel.BOUGHT_TOGETHER:
            return bought_together(self._scores, allowed, size)
        if channel is Channel.BEHAVIOUR:
            return self._expected_next()
        if channel is Channel.POPULAR_IN_CATEGORY:
            return popular_in_categories(self._shelf, self.request.categories, allowed, size)
        return from_order(channel, self._shelf, allowed, size)

    def _expected_next(self) -> Rows:
        """Nothing without a person's vector: then the model expects nothing."""
        if not len(self.request.user_vector):
            return np.empty(0, np.int64)
        rows = np.arange(self._shelf.size)
        return by_behaviour(
            self._behaviour, rows[self._shelf.has_vector(rows)], self.allowed, self.request.channel_size
        )

    def _strongest_seeds(self, rows: Rows) -> npt.NDArray[np.int32]:
        if self._neighbours is None:
            return np.full(len(rows), -1, np.int32)
        return self._neighbours.strongest_seeds(self._shelf.items(rows))

    def _content_scores(self, rows: Rows, mean: Vector | None, size: int) -> Floats:
        if mean is None:
            return np.zeros(len(rows), np.float32)
        if self.index.table.vectors.complete:
            return self.index.table.vectors.scores(mean, rows)
        scores = np.zeros(size, np.float32)
        scores[self.cosines[0]] = self.cosines[1]
        return scores[rows]


def _nothing(lists: ReleaseLists | None) -> FoundCandidates:
    """The answer of a shop without an index."""
    empty = Candidates(np.empty(0, np.int64), np.empty(0, np.uint32))
    floats = np.empty(0, np.float32)
    failed = [FailedChannel(Channel.SIMILAR_TO_RECENT, "there is no index yet")]
    table = ProductTable(1, 0)
    release_id = lists.release_id if lists else ""
    return FoundCandidates(table, empty, floats, np.empty(0, np.int32), floats, floats, failed, release_id)
