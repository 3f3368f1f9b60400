"""Passages of support documents: written, deleted, found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

import numpy as np

from services.retrieval.domain.candidates import Channel, FailedChannel
from services.retrieval.domain.fusion import fuse
from services.retrieval.domain.product import FoundPassage, Passage, Vector
from services.retrieval.errors import BadVector, ModelMismatch
from services.retrieval.nearest import CHANNEL_FAILURES, limited
from services.retrieval.ports import PassageIndex
from services.retrieval.search_products import check_query
from shared.errors.base import MercatoError, Unavailable


@dataclass(frozen=True, slots=True)
class FusedPassage:
    """A passage found; scores of channels that did not bring it are 0."""

    passage: FoundPassage
    score: float
    dense_score: float
    keyword_score: float


@dataclass(frozen=True, slots=True)
class FoundPassages:
    """Passages, best first."""

    passages: list[FusedPassage] = field(default_factory=list)
    failed: list[FailedChannel] = field(default_factory=list)


class Passages:
    """Passages of one tenant's documents."""

    def __init__(self, index: PassageIndex, search_seconds: float) -> None:
        self._index = index
        self._seconds = search_seconds

    async def upsert(self, tenant: str, passages: Sequence[Passage], model_release: str, dimension: int) -> None:
        """Adds or replaces passages. Raises BadVector, Unavailable."""
        size = dimension or len(passages[0].vector)
        for position, passage in enumerate(passages):
            name = f"passages[{position}].vector"
            if len(passage.vector) != size or size == 0:
                raise BadVector(name, f"must have {size or 'some'} components, has {len(passage.vector)}")
            if not np.isfinite(passage.vector).all():
                raise BadVector(name, "must hold finite numbers")
        distinct = list({passage.passage_id: passage for passage in passages}.values())
        await asyncio.shield(asyncio.ensure_future(self._index.upsert(tenant, model_release, distinct)))

    async def delete(self, tenant: str, document_id: str, keep_revision: str) -> None:
        """Deletes a document's passages, but those of `keep_revision` unless that is empty. Raises Unavailable."""
        await asyncio.shield(asyncio.ensure_future(self._index.delete(tenant, document_id, keep_revision)))

    async def count(self, tenant: str, model_release: str) -> int:
        """Counts the passages of one model release. Raises Unavailable."""
        return await self._index.count(tenant, model_release)

    async def search(
        self, tenant: str, vector: Vector | None, model_release: str, words: str, limit: int
    ) -> FoundPassages:
        """Finds passages; by words alone while those of the question's model are not indexed yet.

        Raises ModelMismatch, BadVector; Unavailable when no channel could answer.
        """
        releases = await self._index.releases(tenant)
        words = words.strip()
        if not releases or (vector is None and not words):
            return FoundPassages()
        newest = list(releases)[-1]
        fits = vector is not None and model_release in releases
        if vector is not None and not fits and not words:
            raise ModelMismatch(model_release, newest)
        release = model_release if fits else newest
        channels: dict[Channel, Awaitable[list[FoundPassage]]] = {}
        if vector is not None and fits:
            check_query(vector, releases[release])
            channels[Channel.SEMANTIC] = self._index.search_vector(tenant, release, vector, limit)
        if words:
            channels[Channel.KEYWORD] = self._index.search_words(tenant, release, words, limit)
        found, failed = await self._gather(channels)
        if failed and not found:
            raise Unavailable("milvus", metadata={"detail": failed[0].cause})
        if vector is not None and not fits:
            failed.append(FailedChannel(Channel.SEMANTIC, str(ModelMismatch(model_release, newest))))
        return FoundPassages(_fused(found, limit), failed)

    async def _gather(
        self, channels: dict[Channel, Awaitable[list[FoundPassage]]]
    ) -> tuple[dict[Channel, list[FoundPassage]], list[FailedChannel]]:
        results = await asyncio.gather(
            *(limited(channel, self._seconds, work) for channel, work in channels.items()), return_exceptions=True
        )
        found: dict[Channel, list[FoundPassage]] = {}
        failed: list[FailedChannel] = []
        for channel, result in zip(channels, results, strict=True):
            if isinstance(result, MercatoError):
                failed.append(FailedChannel(channel, str(result)))
                CHANNEL_FAILURES.labels(channel.name).inc()
            elif isinstance(result, BaseException):
                raise result
            else:
                found[channel] = result
        return found, failed


def _fused(found: dict[Channel, list[FoundPassage]], limit: int) -> list[FusedPassage]:
    passages = {one.passage_id: one for hits in found.values() for one in hits}
    dense = {one.passage_id: one.score for one in found.get(Channel.SEMANTIC, [])}
    words = {one.passage_id: one.score for one in found.get(Channel.KEYWORD, [])}
    fused = fuse([[one.passage_id for one in hits] for hits in found.values()])
    return [
        FusedPassage(passages[one], score, dense.get(one, 0.0), words.get(one, 0.0))
        for one, score in list(fused.items())[:limit]
    ]
