"""Behaviour vectors of products that a release's model never saw."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.behaviour import BehaviourIndex, BehaviourVectors
from services.retrieval.domain.index import LiveIndex
from services.retrieval.domain.product import Vector
from services.retrieval.domain.table import chosen
from services.retrieval.nearest import Nearest
from services.retrieval.ports import BehaviourEncoder, BehaviourIndexes, BehaviourProduct
from shared.naming.category_path import joined

Rows = npt.NDArray[np.int64]
BATCH = 500


class ColdVectors:
    """Takes those that Milvus has, from an earlier run or another replica; makes the others of text and names."""

    def __init__(self, nearest: Nearest, encoder: BehaviourEncoder, stored: BehaviourIndexes) -> None:
        self._nearest = nearest
        self._encoder = encoder
        self._stored = stored

    async def give(self, index: LiveIndex, stored: BehaviourIndex, behaviour: BehaviourVectors, rows: Rows) -> None:
        """Adds vectors of rows that have none. Raises Unavailable, FailedPrecondition (the encoder lacks the model)."""
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            found = await self._known(stored, behaviour, chosen(index.table.ids, part))
            new = [row for row in part.tolist() if index.table.ids[row] not in found]
            made = await self._made(index, stored.release_id, np.array(new, np.int64)) if new else {}
            if made and behaviour.held is None:
                with behaviour.asking():
                    await self._stored.upsert(stored, list(made), np.stack(list(made.values())))
            found |= made
            behaviour.add(list(found), np.stack(list(found.values())))

    async def _known(
        self, stored: BehaviourIndex, behaviour: BehaviourVectors, product_ids: list[str]
    ) -> dict[str, Vector]:
        if not behaviour.searchable:
            return {}
        with behaviour.asking():
            return await self._stored.read_vectors(stored, product_ids)

    async def _made(self, index: LiveIndex, release_id: str, rows: Rows) -> dict[str, Vector]:
        texts = await self._nearest.vectors(index, rows)
        facts = [index.table.product(row) for row in rows.tolist()]
        products = [
            BehaviourProduct(one.product_id, joined(one.category_path), one.brand, text)
            for one, text in zip(facts, texts, strict=True)
        ]
        vectors = await self._encoder.encode(release_id, products)
        return {one.product_id: vector for one, vector in zip(products, vectors, strict=True)}
