"""The behaviour channel: products whose vectors have the highest inner products with a person's.

Compared here where few are left by the filter, found by Milvus otherwise. Milvus holds no facts beside these vectors:
more are asked for than are wanted, and those not allowed are left out here.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.behaviour import BehaviourIndex, BehaviourVectors, inner_products
from services.retrieval.domain.candidates import Channel
from services.retrieval.domain.index import LiveIndex
from services.retrieval.domain.product import Hit, Vector
from services.retrieval.domain.recent_vectors import RecentVectors
from services.retrieval.domain.shelf import Shelf
from services.retrieval.domain.table import chosen
from services.retrieval.domain.vectors import best
from services.retrieval.indexes import Indexes
from services.retrieval.nearest import CHANNEL_SECONDS, THREAD_NUMBERS, limited, rows_of, within
from services.retrieval.ports import BehaviourIndexes
from shared.errors.base import MercatoError, Unavailable
from shared.telemetry.metrics import CacheMeter, counter

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Found = tuple[Rows, Floats]
"""Rows with their inner products, best first."""

ANSWERS = counter(
    "retrieval_behaviour_answers_total", "What answered the behaviour channel: memory, milvus, fallback.", ("by",)
)
MOST_NAMED = 1_000
"""Where at most this many products are allowed, Milvus is given their ids and compares all of them."""
MOST_ASKED = 10_000
"""Results of the widest search. Where fewer than `limit` of them are allowed, the channel brings that few."""
_ROOM, _LEAST_ROOM, _WIDER = 1.3, 50, 4


@dataclass(frozen=True, slots=True)
class ExpectedPolicy:
    """See the settings `exact_scan_products`, `content_seconds` and `vector_cache`."""

    exact_scan_products: int = 50_000
    seconds: float = 0.3
    vector_cache: int = 20_000


@dataclass(frozen=True, slots=True)
class Person:
    """Whose next products are sought, and in which vectors; `shelf` gives each row its place there."""

    tenant: str
    index: LiveIndex
    shelf: Shelf
    behaviour: BehaviourVectors
    vector: Vector

    @property
    def stored(self) -> BehaviourIndex:
        """Where the vectors stand outside this process."""
        return BehaviourIndex(self.tenant, self.shelf.release_id, self.behaviour.dimension)


def person_of(tenant: str, index: LiveIndex, shelf: Shelf, vector: Vector) -> Person | None:
    """None: the person or the release has no vectors, or they are of different models."""
    behaviour = shelf.behaviour
    if behaviour is None or len(vector) != behaviour.dimension:
        return None
    return Person(tenant, index, shelf, behaviour, vector)


class ExpectedNext:
    """Answers with rows of an index's table."""

    def __init__(self, indexes: Indexes, stored: BehaviourIndexes, policy: ExpectedPolicy) -> None:
        self._indexes = indexes
        self._stored = stored
        self._policy = policy
        lookups = CacheMeter("item_vectors")
        self._recent: RecentVectors[tuple[BehaviourIndex, str]] = RecentVectors(policy.vector_cache, lookups.count)

    async def find(self, person: Person, allowed: Bools, limit: int) -> Found:
        """The best of the rows allowed. Raises what Milvus raises, but only where memory does not hold the vectors."""
        rows = np.flatnonzero(allowed)
        rows = rows[person.shelf.vector_places(rows) >= 0]
        held, few = person.behaviour.held, len(rows) <= self._policy.exact_scan_products
        if not len(rows) or (held is not None and (few or not person.behaviour.searchable)):
            return await self._compared(person, rows, limit, "memory")
        try:
            with person.behaviour.asking():
                asked = self._asked(person, rows, allowed, limit)
                found = await limited(Channel.BEHAVIOUR, self._policy.seconds, asked)
        except MercatoError as error:
            if isinstance(error, Unavailable):
                self._indexes.doubt()
            if person.behaviour.held is None:
                raise
            return await self._compared(person, rows, limit, "fallback")
        ANSWERS.labels("milvus").inc()
        return found

    async def scores(self, person: Person, rows: Rows, found: Found) -> Floats:
        """Inner products of `rows` `[N]`; 0 for rows without a vector. Raises what Milvus raises, as above."""
        places, held = person.shelf.vector_places(rows), person.behaviour.held
        if held is not None:
            return inner_products(held, person.vector, places)
        scores = np.zeros(person.index.table.size, np.float32)
        scores[found[0]] = found[1]
        rest = rows[(places >= 0) & ~np.isin(rows, found[0])]
        with person.behaviour.asking():
            scores[rest] = await within(self._policy.seconds, self._read(person, rest))
        return scores[rows]

    async def _compared(self, person: Person, rows: Rows, limit: int, by: str) -> Found:
        ANSWERS.labels(by).inc()
        held = person.behaviour.held
        if held is None or not len(rows):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        with CHANNEL_SECONDS.labels(Channel.BEHAVIOUR.name).time():
            places = person.shelf.vector_places(rows)
            if min(len(held), 2 * len(rows)) * person.behaviour.dimension < THREAD_NUMBERS:
                return best(inner_products(held, person.vector, places), rows, limit)
            scores = await asyncio.to_thread(inner_products, held, person.vector, places)
            return best(scores, rows, limit)

    async def _asked(self, person: Person, rows: Rows, allowed: Bools, limit: int) -> Found:
        index, stored = person.index, person.stored
        if len(rows) <= MOST_NAMED:
            ids = chosen(index.table.ids, rows)
            limit = min(limit, len(ids))
            hits = _enough(await self._stored.search(stored, person.vector, limit, ids), limit)
            return rows_of(index, hits, allowed, limit)
        share = len(rows) / max(len(rows), len(person.behaviour))
        asked = min(MOST_ASKED, math.ceil(limit * _ROOM / share) + _LEAST_ROOM)
        while True:
            hits = await self._stored.search(stored, person.vector, asked)
            _enough(hits, min(asked, len(person.behaviour)))
            found = rows_of(index, hits, allowed, limit)
            if len(found[0]) >= min(limit, len(rows)) or len(hits) < asked or asked == MOST_ASKED:
                return found
            asked = min(MOST_ASKED, asked * _WIDER)

    async def _read(self, person: Person, rows: Rows) -> Floats:
        stored = person.stored
        keys = [(stored, product_id) for product_id in chosen(person.index.table.ids, rows)] if len(rows) else []

        async def read(missing: list[tuple[BehaviourIndex, str]]) -> dict[tuple[BehaviourIndex, str], Vector]:
            vectors = await self._stored.read_vectors(stored, [key[1] for key in missing])
            return {(stored, product_id): vector for product_id, vector in vectors.items()}

        vectors = await self._recent.of(keys, read)
        return np.array([vectors[key] @ person.vector if key in vectors else 0.0 for key in keys], np.float32)


def _enough(hits: list[Hit], there: int) -> list[Hit]:
    """Raises Unavailable for far fewer hits than there are vectors: Milvus lost some, or another replica fills anew."""
    if len(hits) * 2 < there:
        detail = f"{len(hits)} of {there} behaviour vectors were found"
        raise Unavailable("milvus", metadata={"detail": detail})
    return hits
