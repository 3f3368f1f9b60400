"""Vectors in this process's memory; the least recently used are forgotten first."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from typing_extensions import override

from services.encoder.ports import VectorCache
from shared.telemetry.metrics import gauge

ENTRY_BYTES = 250
"""What Python adds to the content of one entry: two bytes objects and their place in the map."""
USED = gauge("encoder_cache_bytes", "Memory of remembered vectors.")


class MemoryCache(VectorCache):
    """Bounded by bytes, not entries: vectors differ in size between models."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._used_bytes = 0
        self._vectors: OrderedDict[bytes, bytes] = OrderedDict()

    @property
    def used_bytes(self) -> int:
        """Never above the limit."""
        return self._used_bytes

    def __len__(self) -> int:
        """Vectors remembered."""
        return len(self._vectors)

    @override
    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found = {}
        for key in keys:
            if (vector := self._vectors.get(key)) is not None:
                self._vectors.move_to_end(key)
                found[key] = vector
        return found

    @override
    async def put_many(self, vectors: Mapping[bytes, bytes]) -> None:
        for key, vector in vectors.items():
            self._forget(key)
            self._vectors[key] = vector
            self._used_bytes += _size(key, vector)
        while self._used_bytes > self._limit_bytes:
            self._forget(next(iter(self._vectors)))
        USED.set(self._used_bytes)

    def _forget(self, key: bytes) -> None:
        if (old := self._vectors.pop(key, None)) is not None:
            self._used_bytes -= _size(key, old)


def _size(key: bytes, vector: bytes) -> int:
    return len(key) + len(vector) + ENTRY_BYTES
