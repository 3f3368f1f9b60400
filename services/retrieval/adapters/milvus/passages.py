"""Passages of support documents in Milvus: a collection a tenant and model release, the newest under the alias."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from typing_extensions import override

from services.retrieval.adapters.milvus.collection import Collections
from services.retrieval.adapters.milvus.connection import CollectionMissing
from services.retrieval.adapters.milvus.expressions import quoted
from services.retrieval.adapters.milvus.names import PASSAGES, alias_of, name_of, parse
from services.retrieval.adapters.milvus.schema import make_passages, passage_to_row
from services.retrieval.domain.index import IndexInfo
from services.retrieval.domain.product import FoundPassage, Passage, Vector
from services.retrieval.ports import PassageIndex
from shared.errors.base import Unavailable

KEPT = 2
"""Collections of a tenant: a model release is left by writing all documents again, while the one before answers."""
_FIELDS = ("document_id", "revision")
Rows = list[tuple[str, float, dict[str, Any]]]


class MilvusPassages(PassageIndex):
    """Remembers which collections there are, and looks again when one is missing."""

    def __init__(self, collections: Collections) -> None:
        self._collections = collections
        self._known: dict[str, list[IndexInfo]] = {}
        self._making = asyncio.Lock()

    @override
    async def upsert(self, tenant: str, model_release: str, passages: Sequence[Passage]) -> None:
        rows = [passage_to_row(passage) for passage in passages]
        try:
            info = await self._collection(tenant, model_release, len(passages[0].vector))
            await self._collections.upsert(info.name, rows)
        except CollectionMissing:
            self._known.pop(tenant, None)
            info = await self._collection(tenant, model_release, len(passages[0].vector))
            await self._collections.upsert(info.name, rows)

    @override
    async def delete(self, tenant: str, document_id: str, keep_revision: str) -> None:
        expression = f"document_id == {quoted(document_id)}"
        if keep_revision:
            expression += f" and revision != {quoted(keep_revision)}"
        for info in await self._look(tenant):
            await self._collections.delete(info.name, expression)

    @override
    async def releases(self, tenant: str) -> dict[str, int]:
        known = self._known.get(tenant)
        if known is None:
            known = await self._look(tenant)
        return {info.model_release: info.dimension for info in known}

    @override
    async def count(self, tenant: str, model_release: str) -> int:
        # Looked for anew: what is remembered may have been dropped by another process.
        fitting = [info for info in await self._look(tenant) if info.model_release == model_release]
        return sum([await self._collections.count(info.name) for info in fitting])

    @override
    async def search_vector(self, tenant: str, model_release: str, vector: Vector, limit: int) -> list[FoundPassage]:
        return await self._found(
            tenant, model_release, lambda name: self._collections.search_vector(name, vector, "", limit, _FIELDS)
        )

    @override
    async def search_words(self, tenant: str, model_release: str, words: str, limit: int) -> list[FoundPassage]:
        return await self._found(
            tenant, model_release, lambda name: self._collections.search_words(name, words, "", limit, _FIELDS)
        )

    async def _found(
        self, tenant: str, model_release: str, search: Callable[[str], Awaitable[Rows]]
    ) -> list[FoundPassage]:
        try:
            rows = await search(await self._name(tenant, model_release))
        except CollectionMissing:
            self._known.pop(tenant, None)
            raise
        return [FoundPassage(one, row["document_id"], row["revision"], score) for one, score, row in rows]

    async def _name(self, tenant: str, model_release: str) -> str:
        for info in self._known.get(tenant) or await self._look(tenant):
            if info.model_release == model_release:
                return info.name
        raise CollectionMissing()

    async def _look(self, tenant: str) -> list[IndexInfo]:
        infos = [parse(PASSAGES, name) for name in await self._collections.names()]
        known = sorted((info for info in infos if info and info.tenant == tenant), key=lambda info: info.number)
        whole = [info for info in known if info in self._known.get(tenant, []) or await self._opens(info)]
        self._known[tenant] = whole
        return whole

    async def _opens(self, info: IndexInfo) -> bool:
        """Opens a collection; drops it when it cannot be opened though Milvus answers: it was never finished."""
        try:
            await self._collections.open(info.name)
        except Unavailable:
            await self._collections.connection.check()
            if await self._collections.aliases(info.name):
                raise
            await self._collections.drop(info.name)
            return False
        return True

    async def _collection(self, tenant: str, model_release: str, dimension: int) -> IndexInfo:
        async with self._making:
            known = self._known.get(tenant)
            if known is None:
                known = await self._look(tenant)
            for info in known:
                if info.model_release == model_release and info.dimension == dimension:
                    return info
            return await self._make(tenant, model_release, dimension, known)

    async def _make(self, tenant: str, model_release: str, dimension: int, known: list[IndexInfo]) -> IndexInfo:
        number = max((info.number for info in known), default=0) + 1
        name = name_of(PASSAGES, tenant, model_release, number, dimension)
        collections = self._collections
        await collections.connection.check()
        make = make_passages(name, dimension, collections.settings, lite=collections.connection.is_lite)
        await collections.make(name, make)
        await collections.point(alias_of(PASSAGES, tenant), name)
        for old in known[: len(known) + 1 - KEPT]:
            await collections.drop(old.name)
        self._known.pop(tenant, None)
        await self._look(tenant)
        return IndexInfo(name, tenant, model_release, dimension, number)
