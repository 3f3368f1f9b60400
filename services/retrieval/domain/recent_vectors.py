"""Vectors read lately, so that the same products are not read again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from services.retrieval.domain.product import Vector

K = TypeVar("K", bound=Hashable)


class Count(Protocol):
    """Counts lookups."""

    def __call__(self, *, hits: int, misses: int) -> None:
        """Adds lookups."""


class RecentVectors(Generic[K]):
    """Holds the `size` vectors asked for last; `count` is told of each lookup."""

    def __init__(self, size: int, count: Count | None = None) -> None:
        self._size = size
        self._count = count
        self._vectors: OrderedDict[K, Vector] = OrderedDict()

    async def of(self, keys: Sequence[K], read: Callable[[list[K]], Awaitable[Mapping[K, Vector]]]) -> dict[K, Vector]:
        """Vectors of those keys that have one; `read` is asked for those not held. Raises what it raises."""
        missing = [key for key in keys if key not in self._vectors]
        if self._count is not None:
            self._count(hits=len(keys) - len(missing), misses=len(missing))
        fresh = await read(missing) if missing else {}
        found = {key: self._vectors[key] for key in keys if key in self._vectors} | dict(fresh)
        for key, vector in found.items():
            self._vectors[key] = vector
            self._vectors.move_to_end(key)
        while len(self._vectors) > self._size:
            self._vectors.popitem(last=False)
        return found
