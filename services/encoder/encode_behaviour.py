"""Encodes people and products by the behaviour model of a release."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.encoder.behaviour import (
    HOUR_S,
    BehaviourModel,
    BehaviourRows,
    ColdProduct,
    item_inputs,
    rows_of,
    user_inputs,
)
from services.encoder.errors import BrokenVectors, NoBehaviourModel
from services.encoder.ports import BehaviourReleases, GraphRunner, VectorCache, Vectors
from shared.telemetry.metrics import CacheMeter

LOOKUPS = CacheMeter("behaviour_vectors")


@dataclass(frozen=True, slots=True)
class UserVector:
    """A person's vector as little endian float32; empty when nothing they did is known to the model."""

    vector: bytes
    release_id: str
    used: int


class EncodeBehaviour:
    """Equal histories within an hour are encoded once."""

    def __init__(self, releases: BehaviourReleases, graphs: GraphRunner, cache: VectorCache) -> None:
        self._releases = releases
        self._graphs = graphs
        self._cache = cache

    async def user(
        self,
        tenant: str,
        release_id: str,
        rows: tuple[Sequence[str], Sequence[int], Sequence[int]],
        time_s: int,
    ) -> UserVector:
        """`rows` are product ids, kinds and times. Raises NoBehaviourModel, Unavailable, BrokenVectors."""
        model = self._model(tenant, release_id)
        # Up to the end of the hour, so that what was just done counts and equal histories still share a vector.
        now_s = (time_s or int(time.time())) // HOUR_S * HOUR_S + HOUR_S
        sequence = rows_of(model, *rows, now_s)
        used = len(sequence.positions)
        if not used:
            return UserVector(b"", model.release_id, 0)
        key = _key(model, sequence)
        found = (await self._cache.get_many([key])).get(key)
        LOOKUPS.count(hits=found is not None, misses=found is None)
        if found is not None:
            return UserVector(found, model.release_id, used)
        vector = _checked(await self._graphs.run(model.user_graph, user_inputs(model, sequence)), 1, model.dimension)
        content = vector.astype("<f4").tobytes()
        await self._cache.put_many({key: content})
        return UserVector(content, model.release_id, used)

    async def products(self, tenant: str, release_id: str, products: Sequence[ColdProduct]) -> Vectors:
        """Learnt vectors, and made ones for products that the model never saw `[N, D]`. Raises as `user`."""
        model = self._model(tenant, release_id)
        vectors = np.empty((len(products), model.dimension), np.float32)
        places = np.array([model.positions.get(one.product_id, -1) for one in products], np.int64)
        vectors[places >= 0] = model.products.vectors[places[places >= 0]]
        cold = np.flatnonzero(places < 0)
        if len(cold):
            inputs = item_inputs(model, [products[row] for row in cold.tolist()])
            vectors[cold] = _checked(await self._graphs.run(model.item_graph, inputs), len(cold), model.dimension)
        return vectors

    def _model(self, tenant: str, release_id: str) -> BehaviourModel:
        release = self._releases.of(tenant, release_id)
        if release is None or release.model is None:
            raise NoBehaviourModel(release_id, held=release is not None)
        return release.model


def _key(model: BehaviourModel, sequence: BehaviourRows) -> bytes:
    """Ages count by the hour from the latest row on: what matters is the history and the hour of the request."""
    digest = hashlib.blake2b(model.user_graph.name.encode(), digest_size=16)
    digest.update(model.release_id.encode())
    for column in (sequence.positions, sequence.kinds, sequence.ages_s):
        digest.update(column.tobytes())
    return digest.digest()


def _checked(outputs: Sequence[Vectors], count: int, dimension: int) -> Vectors:
    vectors = outputs[0]
    if vectors.shape != (count, dimension):
        raise BrokenVectors(f"{vectors.shape} instead of {(count, dimension)}")
    if not np.isfinite(vectors).all():
        raise BrokenVectors("numbers that are not finite")
    return vectors
