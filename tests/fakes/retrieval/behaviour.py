"""Vectors of releases in memory, with switches for failure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.retrieval.domain.behaviour import BehaviourIndex, Floats
from services.retrieval.domain.product import Hit, Vector
from services.retrieval.ports import BehaviourIndexes, ReleaseRecord
from shared.errors.base import Unavailable


class FakeBehaviour(BehaviourIndexes):
    """`down`: nothing answers; `writes_left`: this many writes, then nothing answers."""

    def __init__(self) -> None:
        self.vectors: dict[BehaviourIndex, dict[str, Vector]] = {}
        self.marked: set[BehaviourIndex] = set()
        self.asked: list[int] = []
        """Limits of the searches."""
        self.down = False
        self.writes_left = 10**9

    async def discover(self, tenant: str) -> list[BehaviourIndex]:
        self._check()
        return [index for index in self.vectors if index.tenant == tenant]

    async def open(self, index: BehaviourIndex) -> None:
        self._check()
        self.vectors.setdefault(index, {})

    async def whole(self, index: BehaviourIndex) -> bool:
        self._of(index)
        return index in self.marked

    async def mark(self, index: BehaviourIndex, *, whole: bool) -> None:
        self._of(index)
        (self.marked.add if whole else self.marked.discard)(index)

    async def count(self, index: BehaviourIndex) -> int:
        return len(self._of(index))

    async def upsert(self, index: BehaviourIndex, product_ids: Sequence[str], vectors: Floats) -> None:
        held = self._of(index)
        if self.writes_left == 0:
            raise Unavailable("milvus")
        self.writes_left -= 1
        held.update(zip(product_ids, vectors.copy(), strict=True))

    async def read_vectors(self, index: BehaviourIndex, product_ids: Sequence[str]) -> dict[str, Vector]:
        held = self._of(index)
        return {one: held[one].copy() for one in product_ids if one in held}

    async def search(self, index: BehaviourIndex, vector: Vector, limit: int, among: Sequence[str] = ()) -> list[Hit]:
        held = self._of(index)
        self.asked.append(limit)
        hits = [Hit(one, float(np.dot(held[one], vector))) for one in held if not among or one in among]
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    async def drop(self, index: BehaviourIndex) -> None:
        self._check()
        self.vectors.pop(index, None)
        self.marked.discard(index)

    def _of(self, index: BehaviourIndex) -> dict[str, Vector]:
        self._check()
        if index not in self.vectors:
            raise Unavailable("milvus", metadata={"detail": "a collection is missing"})
        return self.vectors[index]

    def _check(self) -> None:
        if self.down:
            raise Unavailable("milvus")


class FakeRecord(ReleaseRecord):
    """The trainer's releases."""

    def __init__(self, *kept: str) -> None:
        self.releases = set(kept)
        self.down = False

    async def kept(self) -> set[str]:
        if self.down:
            raise Unavailable("trainer")
        return set(self.releases)
