"""Product vectors of releases in Milvus: a collection a release, under an alias of its own once it is whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from services.retrieval.adapters.milvus.collection import Collections
from services.retrieval.adapters.milvus.expressions import one_of
from services.retrieval.adapters.milvus.names import BEHAVIOUR, name_of, parse, whole_alias
from services.retrieval.adapters.milvus.schema import VECTOR, make_vectors
from services.retrieval.domain.behaviour import BehaviourIndex, Floats
from services.retrieval.domain.product import Hit, Vector
from services.retrieval.ports import BehaviourIndexes


class MilvusBehaviour(BehaviourIndexes):
    """Every step may be repeated, and done by two processes at once."""

    def __init__(self, collections: Collections) -> None:
        self._collections = collections

    @override
    async def discover(self, tenant: str) -> list[BehaviourIndex]:
        infos = [parse(BEHAVIOUR, name) for name in await self._collections.names()]
        return [
            BehaviourIndex(tenant, info.model_release, info.dimension)
            for info in infos
            if info is not None and info.tenant == tenant
        ]

    @override
    async def open(self, index: BehaviourIndex) -> None:
        collections, name = self._collections, _name(index)
        await collections.connection.check()
        make = make_vectors(name, index.dimension, collections.settings, lite=collections.connection.is_lite)
        await collections.connection.admin(make)
        await collections.open(name)

    @override
    async def whole(self, index: BehaviourIndex) -> bool:
        name = _name(index)
        return whole_alias(name) in await self._collections.aliases(name)

    @override
    async def mark(self, index: BehaviourIndex, *, whole: bool) -> None:
        name = _name(index)
        if whole:
            await self._collections.point(whole_alias(name), name)
        else:
            await self._collections.unpoint(whole_alias(name), name)

    @override
    async def count(self, index: BehaviourIndex) -> int:
        return await self._collections.count(_name(index))

    @override
    async def upsert(self, index: BehaviourIndex, product_ids: Sequence[str], vectors: Floats) -> None:
        rows = [{"id": one, VECTOR: vector} for one, vector in zip(product_ids, vectors, strict=True)]
        await self._collections.upsert(_name(index), rows)

    @override
    async def read_vectors(self, index: BehaviourIndex, product_ids: Sequence[str]) -> dict[str, Vector]:
        rows = await self._collections.read(_name(index), product_ids, ["id", VECTOR])
        return {row["id"]: np.array(row[VECTOR], np.float32) for row in rows}

    @override
    async def search(self, index: BehaviourIndex, vector: Vector, limit: int, among: Sequence[str] = ()) -> list[Hit]:
        expression = one_of("id", among) if among else ""
        found = await self._collections.search_inner(_name(index), vector, expression, limit)
        return [Hit(one, score) for one, score, _ in found]

    @override
    async def drop(self, index: BehaviourIndex) -> None:
        await self._collections.drop(_name(index))


def _name(index: BehaviourIndex) -> str:
    return name_of(BEHAVIOUR, index.tenant, index.release_id, 1, index.dimension)
