"""Begins and activates indexes, and says which there are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.index import LiveIndex
from services.retrieval.errors import IndexNotFound
from services.retrieval.indexes import Indexes
from services.retrieval.ports import Releases


@dataclass(frozen=True, slots=True)
class IndexState:
    """A tenant's indexes by name; empty where there is none."""

    active: str
    model_release: str
    products: int
    building: str
    release_id: str
    release_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VectorPage:
    """Vectors of some products `[N, D]`."""

    product_ids: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    model_release: str


class ManageIndexes:
    """The life of indexes: begun, filled by writes, activated, dropped."""

    def __init__(self, indexes: Indexes, releases: Releases) -> None:
        self._indexes = indexes
        self._releases = releases

    async def begin(
        self, tenant: str, model_release: str, dimension: int, *, first_only: bool = False
    ) -> tuple[str, bool]:
        """Makes an index; returns its name and whether it is active. Raises Unavailable.

        ``first_only``: names the active one where there is one. One that is being built already is dropped: whoever
        built it was cut off, and what it holds may be old.
        """
        async with self._indexes.writing:
            held = await self._indexes.current(tenant)
            if first_only and held.active is not None:
                return held.active.info.name, True
            if held.building is not None:
                unfinished, held.building = held.building, None
                await self._indexes.port.drop(unfinished.info)
            building = held.building = await self._create(tenant, model_release, dimension)
            if held.active is None:
                await self._indexes.port.activate(building.info)
                building.info = replace(building.info, active=True)
                held.active, held.building = building, None
            return building.info.name, building.info.active

    async def activate(self, tenant: str, name: str) -> None:
        """Makes the index being built the active one and drops the other. Raises IndexNotFound, Unavailable."""
        async with self._indexes.writing:
            held = await self._indexes.current(tenant)
            if held.active is not None and held.active.info.name == name:
                return
            if held.building is None or held.building.info.name != name:
                raise IndexNotFound(name)
            await self._indexes.port.activate(held.building.info)
            old = held.active
            held.building.info = replace(held.building.info, active=True)
            held.active, held.building = held.building, None
            if old is not None:
                await self._indexes.port.drop(old.info)

    async def state(self, tenant: str) -> IndexState:
        """Says which indexes there are. Raises Unavailable while they are not known."""
        held = await self._indexes.of(tenant)
        return IndexState(
            active=held.active.info.name if held.active else "",
            model_release=held.active.info.model_release if held.active else "",
            products=len(held.active.table) if held.active else 0,
            building=held.building.info.name if held.building else "",
            release_id=self._releases.current(tenant),
            release_ids=tuple(self._releases.held(tenant)),
        )

    async def read_vectors(self, tenant: str) -> AsyncIterator[VectorPage]:
        """Yields the vectors of all products of the active index. Raises IndexNotFound, Unavailable."""
        index = (await self._indexes.of(tenant)).active
        if index is None:
            raise IndexNotFound("")
        async for page in self._indexes.port.scan(index.info, vectors=True):
            kept = [item for item in page if item.vector is not None]
            if kept:
                vectors = np.stack([item.vector for item in kept if item.vector is not None])
                ids = tuple(item.product.product_id for item in kept)
                yield VectorPage(ids, vectors, index.info.model_release)

    async def _create(self, tenant: str, model_release: str, dimension: int) -> LiveIndex:
        numbers = [index.info.number for index in (await self._indexes.of(tenant)).all()]
        number = max(numbers, default=0) + 1
        return self._indexes.fresh(await self._indexes.port.create(tenant, model_release, dimension, number))
