"""Finds products by a query's vector and words, and products like one product."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.candidates import Channel, FailedChannel, bought_together
from services.retrieval.domain.filter import EVERYTHING, ProductFilter
from services.retrieval.domain.fusion import fuse
from services.retrieval.domain.index import LiveIndex
from services.retrieval.domain.product import Hit, Product, Vector
from services.retrieval.domain.release import ReleaseLists, score_neighbours
from services.retrieval.domain.shelf import take
from services.retrieval.errors import BadVector, ModelMismatch, ProductNotFound
from services.retrieval.indexes import Indexes
from services.retrieval.nearest import CHANNEL_FAILURES, CHANNEL_SIZE, Nearest, limited, rows_of
from services.retrieval.ports import Releases
from shared.errors.base import MercatoError, Unavailable

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Scored = dict[str, float]
_MOST_OF_A_BRAND = 20
_LEAST_DEPTH = 50
"""Results of a channel that are fused, at least: what is second in both may be better than what is first in one."""
_MOST_BESIDE_VECTORS = 100
"""Results by words beside those by vectors, which reach as deep as asked; a place beyond moves no fused order."""


@dataclass(frozen=True, slots=True)
class SearchPolicy:
    """See the settings of the same names."""

    search_seconds: float = 2.0
    new_days: int = 30


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A query: a unit vector of a model release, or words, or both; neither asks for best sellers."""

    vector: Vector | None = None
    model_release: str = ""
    words: str = ""
    wanted: ProductFilter = EVERYTHING
    limit: int = 100
    release_id: str = ""
    """Empty: the current one."""


@dataclass(frozen=True, slots=True)
class FoundProduct:
    """A product found; scores of channels that did not bring it are 0."""

    product: Product
    score: float
    channels: tuple[Channel, ...]
    dense_score: float = 0.0
    keyword_score: float = 0.0
    neighbour_score: float = 0.0


@dataclass(frozen=True, slots=True)
class FoundProducts:
    """Products, best first."""

    products: list[FoundProduct] = field(default_factory=list)
    failed: list[FailedChannel] = field(default_factory=list)


class SearchProducts:
    """The vector channel and the keyword channel at once, fused by ranks."""

    def __init__(self, indexes: Indexes, releases: Releases, nearest: Nearest, policy: SearchPolicy) -> None:
        self._indexes = indexes
        self._releases = releases
        self._nearest = nearest
        self._policy = policy

    async def search(self, tenant: str, request: SearchRequest) -> FoundProducts:
        """Raises ModelMismatch, BadVector; Unavailable when no channel could answer."""
        index = (await self._indexes.of(tenant)).active
        words = request.words.strip()
        if index is None:
            return FoundProducts([], _without_index(request, words))
        mismatch = _mismatch(request, index)
        if mismatch is not None and not words:
            raise mismatch
        allowed = index.table.mask(request.wanted)
        lists = self._releases.of(tenant, request.release_id)
        if request.vector is None and not words:
            return self._best_sellers(lists, index, allowed, request.limit)
        channels: dict[Channel, Awaitable[Scored]] = {}
        if request.vector is not None and mismatch is None:
            channels[Channel.SEMANTIC] = self._dense(index, request.vector, request.wanted, allowed, request.limit)
        if words:
            depth = max(request.limit, _LEAST_DEPTH)
            if channels:
                depth = min(depth, _MOST_BESIDE_VECTORS)
            channels[Channel.KEYWORD] = self._keywords(index, words, request.wanted, allowed, depth)
        found, failed = await self._gather(channels)
        if mismatch is not None:
            failed.append(FailedChannel(Channel.SEMANTIC, str(mismatch)))
        exact = self._exact(lists, index, words, allowed) if words else []
        if failed and not found and not exact:
            raise Unavailable("milvus", metadata={"detail": failed[0].cause})
        return FoundProducts(_fused(index, found, exact, request.limit), failed)

    async def similar(
        self, tenant: str, product_id: str, wanted: ProductFilter, limit: int, release_id: str = ""
    ) -> FoundProducts:
        """Products like one. Raises ProductNotFound; Unavailable when no channel could answer."""
        index = (await self._indexes.of(tenant)).active
        row = index.table.row(product_id) if index is not None else None
        if index is None or row is None:
            raise ProductNotFound(product_id)
        allowed = index.table.mask(wanted)
        allowed[row] = False
        neighbours = self._neighbours(self._releases.of(tenant, release_id), index, product_id, allowed, limit)
        dense = self._like(index, row, wanted, allowed, limit)
        found, failed = await self._gather({Channel.SIMILAR_TO_RECENT: dense})
        if neighbours:
            found[Channel.BOUGHT_TOGETHER] = neighbours
        if failed and not neighbours:
            raise Unavailable("milvus", metadata={"detail": failed[0].cause})
        return FoundProducts(_fused(index, found, [], limit), failed)

    async def _dense(
        self, index: LiveIndex, vector: Vector, wanted: ProductFilter, allowed: Bools, limit: int
    ) -> Scored:
        rows, scores = await self._nearest.find(index, vector, wanted, allowed, max(limit, _LEAST_DEPTH))
        return _by_id(index, rows, scores.tolist())

    async def _keywords(
        self, index: LiveIndex, words: str, wanted: ProductFilter, allowed: Bools, depth: int
    ) -> Scored:
        if not allowed.any():
            return {}
        room = len(wanted.excluded)
        hits: list[Hit] = await self._indexes.port.search_words(index.info, words, wanted, depth + room)
        rows, scores = rows_of(index, hits, allowed, depth)
        return _by_id(index, rows, scores.tolist())

    async def _like(self, index: LiveIndex, row: int, wanted: ProductFilter, allowed: Bools, limit: int) -> Scored:
        vectors = await self._nearest.vectors(index, np.array([row], np.int64))
        return await self._dense(index, vectors[0], wanted, allowed, limit)

    async def _gather(
        self, channels: Mapping[Channel, Awaitable[Scored]]
    ) -> tuple[dict[Channel, Scored], list[FailedChannel]]:
        """Waits for all channels; a failed one is named and does not stop the others."""
        seconds = self._policy.search_seconds
        results = await asyncio.gather(
            *(limited(channel, seconds, work) for channel, work in channels.items()), return_exceptions=True
        )
        found: dict[Channel, Scored] = {}
        failed: list[FailedChannel] = []
        for channel, result in zip(channels, results, strict=True):
            if isinstance(result, MercatoError):
                failed.append(FailedChannel(channel, str(result)))
                CHANNEL_FAILURES.labels(channel.name).inc()
                if isinstance(result, Unavailable):
                    self._indexes.doubt()
            elif isinstance(result, BaseException):
                raise result
            else:
                found[channel] = result
                CHANNEL_SIZE.labels(channel.name).observe(len(result))
        return found, failed

    def _exact(self, lists: ReleaseLists | None, index: LiveIndex, words: str, allowed: Bools) -> list[str]:
        """The product whose id the query is, and the best sellers of the brand whose name it is."""
        table, row = index.table, index.table.row(words)
        found = [words] if row is not None and row < len(allowed) and allowed[row] else []
        named = table.brands.named(words)
        if named.any():
            order = index.shelf(lists, self._policy.new_days).best_sellers
            order = order[order < len(allowed)]  # rows that came since `allowed` was made are not in it
            order = order[named[table.brand_numbers[order]]]
            found += [table.ids[one] for one in take(order, allowed, _MOST_OF_A_BRAND).tolist()]
        return found

    def _best_sellers(self, lists: ReleaseLists | None, index: LiveIndex, allowed: Bools, limit: int) -> FoundProducts:
        shelf = index.shelf(lists, self._policy.new_days)
        rows = take(shelf.best_sellers, allowed, limit)
        scores = fuse([[index.table.ids[row] for row in rows.tolist()]])
        found = [
            FoundProduct(index.table.product(row), score, (Channel.POPULAR,))
            for row, score in zip(rows.tolist(), scores.values(), strict=True)
        ]
        return FoundProducts(found)

    def _neighbours(
        self, lists: ReleaseLists | None, index: LiveIndex, product_id: str, allowed: Bools, limit: int
    ) -> Scored:
        """What people buy together with a product, strongest first."""
        if lists is None or product_id not in lists.numbers:
            return {}
        shelf = index.shelf(lists, self._policy.new_days)
        scores = shelf.by_row(score_neighbours(lists, [product_id], np.ones(1)).scores)
        rows = bought_together(scores, allowed, max(limit, _LEAST_DEPTH))
        return _by_id(index, rows, scores[rows].tolist())


def _fused(index: LiveIndex, found: Mapping[Channel, Scored], exact: Sequence[str], limit: int) -> list[FoundProduct]:
    """Channels as one list. What the query names exactly counts as a ranking of its own, of the keyword channel."""
    rankings = [list(scores) for scores in found.values()]
    fused = fuse([list(exact), *rankings] if exact else rankings)
    products: list[FoundProduct] = []
    for product_id, score in list(fused.items())[:limit]:
        row = index.table.row(product_id)
        if row is None:
            continue
        channels = [channel for channel, scores in found.items() if product_id in scores]
        if product_id in exact and Channel.KEYWORD not in channels:
            channels.append(Channel.KEYWORD)
        dense = found.get(Channel.SEMANTIC) or found.get(Channel.SIMILAR_TO_RECENT) or {}
        products.append(
            FoundProduct(
                index.table.product(row),
                score,
                tuple(channels),
                dense.get(product_id, 0.0),
                found.get(Channel.KEYWORD, {}).get(product_id, 0.0),
                found.get(Channel.BOUGHT_TOGETHER, {}).get(product_id, 0.0),
            )
        )
    return products


def _mismatch(request: SearchRequest, index: LiveIndex) -> ModelMismatch | None:
    """The query's vector is of another model than the index, as while one is rebuilt. Raises BadVector."""
    if request.vector is None:
        return None
    if request.model_release != index.info.model_release:
        return ModelMismatch(request.model_release, index.info.model_release)
    check_query(request.vector, index.info.dimension)
    return None


def check_query(vector: Vector, dimension: int) -> None:
    """Raises BadVector when a query's vector cannot be compared."""
    if len(vector) != dimension:
        raise BadVector("vector", f"must have {dimension} components, has {len(vector)}")
    if not np.isfinite(vector).all():
        raise BadVector("vector", "must hold finite numbers")


def _without_index(request: SearchRequest, words: str) -> list[FailedChannel]:
    asked = {Channel.SEMANTIC: request.vector is not None, Channel.KEYWORD: bool(words)}
    return [FailedChannel(channel, "there is no index yet") for channel, wanted in asked.items() if wanted]


def _by_id(index: LiveIndex, rows: Rows, scores: Sequence[float]) -> Scored:
    return {index.table.ids[row]: score for row, score in zip(rows.tolist(), scores, strict=True)}
