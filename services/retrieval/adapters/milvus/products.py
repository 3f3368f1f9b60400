"""Products in Milvus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import numpy as np
from typing_extensions import override

from services.retrieval.adapters.milvus.collection import Collections
from services.retrieval.adapters.milvus.expressions import expression_of, one_of
from services.retrieval.adapters.milvus.names import PRODUCTS, alias_of, name_of, parse
from services.retrieval.adapters.milvus.schema import (
    FACT_FIELDS,
    VECTOR,
    WORDS,
    make_products,
    product_to_row,
    row_to_product,
)
from services.retrieval.domain.filter import ProductFilter
from services.retrieval.domain.index import IndexInfo
from services.retrieval.domain.product import Hit, IndexedProduct, Vector
from services.retrieval.ports import ProductIndexes


class MilvusProducts(ProductIndexes):
    """One collection an index."""

    def __init__(self, collections: Collections) -> None:
        self._collections = collections

    @override
    async def discover(self, tenant: str = "") -> list[IndexInfo]:
        await self._collections.connection.check()
        indexes: list[IndexInfo] = []
        for name in await self._collections.names():
            info = parse(PRODUCTS, name)
            if info is not None and tenant in ("", info.tenant):
                active = alias_of(PRODUCTS, info.tenant) in await self._collections.aliases(name)
                indexes.append(replace(info, active=active))
        return indexes

    @override
    async def create(self, tenant: str, model_release: str, dimension: int, number: int) -> IndexInfo:
        collections = self._collections
        name = name_of(PRODUCTS, tenant, model_release, number, dimension)
        make = make_products(name, dimension, collections.settings, lite=collections.connection.is_lite)
        await collections.make(name, make)
        return IndexInfo(name, tenant, model_release, dimension, number)

    @override
    async def activate(self, info: IndexInfo) -> None:
        await self._collections.point(alias_of(PRODUCTS, info.tenant), info.name)

    @override
    async def drop(self, info: IndexInfo) -> None:
        await self._collections.drop(info.name)

    @override
    async def open(self, info: IndexInfo) -> None:
        await self._collections.open(info.name)

    @override
    async def count(self, info: IndexInfo) -> int:
        return await self._collections.count(info.name)

    @override
    async def scan(self, info: IndexInfo, *, vectors: bool) -> AsyncIterator[list[IndexedProduct]]:
        fields = [*FACT_FIELDS, VECTOR] if vectors else FACT_FIELDS
        async for page in self._collections.scan(info.name, fields):
            yield [row_to_product(row) for row in page]

    @override
    async def upsert(self, info: IndexInfo, products: Sequence[IndexedProduct]) -> None:
        words = await self._collections.has_words(info.name)
        rows = [product_to_row(product, words=words) for product in products]
        await self._collections.upsert(info.name, rows)

    @override
    async def read(self, info: IndexInfo, product_ids: Sequence[str]) -> list[IndexedProduct]:
        rows = await self._collections.read(info.name, product_ids, [*FACT_FIELDS, VECTOR, WORDS])
        return [row_to_product(row) for row in rows]

    @override
    async def read_vectors(self, info: IndexInfo, product_ids: Sequence[str]) -> dict[str, Vector]:
        rows = await self._collections.read(info.name, product_ids, ["id", VECTOR])
        return {row["id"]: np.array(row[VECTOR], np.float32) for row in rows}

    @override
    async def delete(self, info: IndexInfo, product_ids: Sequence[str]) -> None:
        await self._collections.delete(info.name, one_of("id", product_ids))

    @override
    async def search_vector(self, info: IndexInfo, vector: Vector, wanted: ProductFilter, limit: int) -> list[Hit]:
        found = await self._collections.search_vector(info.name, vector, expression_of(wanted), limit)
        return [Hit(one, score) for one, score, _ in found]

    @override
    async def search_words(self, info: IndexInfo, words: str, wanted: ProductFilter, limit: int) -> list[Hit]:
        found = await self._collections.search_words(info.name, words, expression_of(wanted), limit)
        return [Hit(one, score) for one, score, _ in found]

    @override
    async def check(self) -> None:
        await self._collections.connection.check()
