"""A cache that forgets nothing."""

from collections.abc import Mapping, Sequence

from typing_extensions import override

from services.encoder.ports import VectorCache


class FakeVectorCache(VectorCache):
    """``vectors`` is open to tests."""

    def __init__(self) -> None:
        self.vectors: dict[bytes, bytes] = {}

    @override
    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        return {key: self.vectors[key] for key in keys if key in self.vectors}

    @override
    async def put_many(self, vectors: Mapping[bytes, bytes]) -> None:
        self.vectors |= vectors
