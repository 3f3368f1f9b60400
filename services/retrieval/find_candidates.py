"""Brings candidates for one person from several channels at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
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
    from_order,
    merge,
    popular_in_categories,
)
from services.retrieval.domain.filter import EVERYTHING, ProductFilter
from services.retrieval.domain.index import LiveIndex
from services.retrieval.domain.release import ReleaseLists, score_neighbours
from services.retrieval.domain.shelf import Shelf
from services.retrieval.domain.table import ProductTable
from services.retrieval.domain.vectors import weighted_mean
from services.retrieval.expected_next import ExpectedNext, Found, Person, person_of
from services.retrieval.indexes import Indexes
from services.retrieval.nearest import CHANNEL_FAILURES, CHANNEL_SECONDS, CHANNEL_SIZE, Nearest, limited
from services.retrieval.ports import Releases
from shared.errors.base import MercatoError, Unavailable
from shared.features.content import closeness

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
LEARNT = frozenset({Channel.BOUGHT_TOGETHER, Channel.BEHAVIOUR, Channel.TRENDING, Channel.POPULAR_IN_CATEGORY})
"""Channels that need a release; without one, POPULAR brings the newest."""
VECTOR_CHANNELS = frozenset({Channel.SIMILAR_TO_RECENT, Channel.BEHAVIOUR})
"""Channels that may have to ask Milvus."""


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
    """Empty when they are not known."""
    failed: list[FailedChannel] = field(default_factory=list)
    release_id: str = ""


class FindCandidates:
    """One request: the vector channels run while the others are answered from memory."""

    def __init__(
        self,
        indexes: Indexes,
        releases: Releases,
        nearest: Nearest,
        expected: ExpectedNext,
        policy: CandidatePolicy,
    ) -> None:
        self._indexes = indexes
        self._releases = releases
        self._nearest = nearest
        self._expected = expected
        self._policy = policy

    async def __call__(self, tenant: str, request: CandidateRequest) -> FoundCandidates:
        """Raises Unavailable when no channel could answer."""
        index = (await self._indexes.of(tenant)).active
        lists = self._releases.of(tenant, request.release_id)
        if index is None:
            return _nothing(lists)
        shelf = index.shelf(lists, self._policy.new_days)
        person = person_of(tenant, index, shelf, request.user_vector)
        search = _Search(index, lists, shelf, request, person)
        channels = {Channel.SIMILAR_TO_RECENT: self._content, Channel.BEHAVIOUR: self._behaviour}
        asked = [asyncio.create_task(ask(search)) for channel, ask in channels.items() if search.wants(channel)]
        try:
            if asked:
                await asyncio.sleep(0)  # sends the questions to Milvus before this thread is busy
            search.answer_from_memory()
            await asyncio.gather(*asked)
        except BaseException:
            for task in asked:
                task.cancel()
            raise
        candidates = search.merged()
        return search.result(candidates, await self._behaviour_scores(search, candidates.rows))

    async def _content(self, search: _Search) -> None:
        """Runs the channel. Notes a failure."""
        channel = Channel.SIMILAR_TO_RECENT
        try:
            await limited(channel, self._policy.content_seconds, self._similar(search))
        except MercatoError as error:
            search.fail(channel, str(error))
            if isinstance(error, Unavailable):
                self._indexes.doubt()

    async def _behaviour(self, search: _Search) -> None:
        """Runs the channel, which brings nothing without a person's vector. Notes a failure."""
        if search.person is None:
            return
        try:
            found = await self._expected.find(search.person, search.allowed, search.request.channel_size)
        except MercatoError as error:
            search.fail(Channel.BEHAVIOUR, str(error))
            return
        search.bring(Channel.BEHAVIOUR, found[0])
        search.expected = found

    async def _behaviour_scores(self, search: _Search, rows: Rows) -> Floats:
        """Inner products of all candidates; empty when they are not known. Notes a failure."""
        if search.person is None or search.failed(Channel.BEHAVIOUR):
            return np.empty(0, np.float32)
        try:
            return await self._expected.scores(search.person, rows, search.expected)
        except MercatoError as error:
            if search.wants(Channel.BEHAVIOUR):
                search.fail(Channel.BEHAVIOUR, str(error))
            return np.empty(0, np.float32)

    async def _similar(self, search: _Search) -> None:
        rows, weights = search.content_seeds()
        if not len(rows):
            return
        seeds = await self._nearest.vectors(search.index, rows)
        mean = weighted_mean(seeds, weights)
        if mean is not None:
            wanted, size = search.request.wanted, search.request.channel_size
            found, _ = await self._nearest.find(search.index, mean, wanted, search.allowed, size, remember=True)
            search.bring(Channel.SIMILAR_TO_RECENT, found)
            await self._note_closeness(search, found, (seeds, weights))

    async def _note_closeness(self, search: _Search, found: Rows, seeds: tuple[Floats, Doubles]) -> None:
        """Of all candidates where vectors are in memory; of what the channel brought where they must be read."""
        if search.index.table.vectors.complete:
            search.closeness = lambda rows: closeness(search.index.table.vectors.get(rows), *seeds)
            return
        values = np.zeros(len(search.allowed), np.float32)
        values[found] = closeness(await self._nearest.vectors(search.index, found), *seeds)
        search.closeness = values.__getitem__


class _Search:
    """The state of one request."""

    def __init__(
        self,
        index: LiveIndex,
        lists: ReleaseLists | None,
        shelf: Shelf,
        request: CandidateRequest,
        person: Person | None,
    ) -> None:
        self.index = index
        self.request = request
        self.person = person
        self.closeness: Callable[[Rows], Floats] = lambda rows: np.zeros(len(rows), np.float32)
        self.expected: Found = (np.empty(0, np.int64), np.empty(0, np.float32))
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

    def wants(self, channel: Channel) -> bool:
        return channel in self._brought

    def bring(self, channel: Channel, rows: Rows) -> None:
        self._brought[channel] = rows
        CHANNEL_SIZE.labels(channel.name).observe(len(rows))

    def failed(self, channel: Channel) -> bool:
        return any(one.channel is channel for one in self._failed)

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
            if channel in VECTOR_CHANNELS:
                continue
            if channel in LEARNT and self._lists is None:
                continue  # nothing has been learnt yet: that is no failure
            began = time.perf_counter()
            self.bring(channel, self._rows(channel))
            CHANNEL_SECONDS.labels(channel.name).observe(time.perf_counter() - began)

    def merged(self) -> Candidates:
        """What all channels brought. Raises Unavailable when all of them failed."""
        if self._failed and len(self._failed) == len(self._brought):
            raise Unavailable("milvus", metadata={"detail": self._failed[0].cause})
        return merge(self._brought, len(self.allowed), self.index.table.live)

    def result(self, candidates: Candidates, behaviour_scores: Floats) -> FoundCandidates:
        rows = candidates.rows
        return FoundCandidates(
            table=self.index.table,
            candidates=candidates,
            neighbour_scores=self._scores[rows],
            neighbour_seeds=self._strongest_seeds(rows),
            content_scores=self.closeness(rows),
            behaviour_scores=behaviour_scores,
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
        if channel is Channel.POPULAR_IN_CATEGORY:
            return popular_in_categories(self._shelf, self.request.categories, allowed, size)
        return from_order(channel, self._shelf, allowed, size)

    def _strongest_seeds(self, rows: Rows) -> npt.NDArray[np.int32]:
        if self._neighbours is None:
            return np.full(len(rows), -1, np.int32)
        return self._neighbours.strongest_seeds(self._shelf.items(rows))


def _nothing(lists: ReleaseLists | None) -> FoundCandidates:
    """The answer of a shop without an index."""
    empty = Candidates(np.empty(0, np.int64), np.empty(0, np.uint32))
    floats = np.empty(0, np.float32)
    failed = [FailedChannel(Channel.SIMILAR_TO_RECENT, "there is no index yet")]
    table = ProductTable(1, 0)
    release_id = lists.release_id if lists else ""
    return FoundCandidates(table, empty, floats, np.empty(0, np.int32), floats, floats, failed, release_id)
