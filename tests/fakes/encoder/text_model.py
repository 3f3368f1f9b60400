"""A text model without a server: the vector of a text follows from its tokens alone."""

import asyncio
from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from services.encoder.domain import ModelRelease
from services.encoder.ports import TextModel, TokenIds, Vectors

RELEASE = ModelRelease(release_id="fake_int8_0123456789", name="fake", dimension=16, max_tokens=12)


class FakeTextModel(TextModel):
    """Notes what it was asked. ``gate`` holds calls back while it is cleared; ``error`` is raised when set."""

    def __init__(self, release: ModelRelease = RELEASE) -> None:
        self._release = release
        self.calls: list[list[TokenIds]] = []
        self.urgent: list[bool] = []
        self.running = 0
        self.most_running = 0
        self.cancelled = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    @property
    def texts(self) -> int:
        """Texts encoded so far."""
        return sum(map(len, self.calls))

    @property
    @override
    def release(self) -> ModelRelease:
        return self._release

    @override
    async def encode(self, token_ids: Sequence[TokenIds], *, urgent: bool) -> Vectors:
        self.calls.append(list(token_ids))
        self.urgent.append(urgent)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if self.error:
            raise self.error
        return np.stack([self._vector(ids) for ids in token_ids])

    @override
    async def check(self) -> None:
        if self.error:
            raise self.error

    def _vector(self, ids: TokenIds) -> Vectors:
        random = np.random.default_rng(list(ids))
        vector = random.standard_normal(self._release.dimension)
        return (vector / np.linalg.norm(vector)).astype(np.float32)
