"""An encoder and a passage index in memory, with switches for failure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from zlib import crc32

import numpy as np

from services.support.ports import Encoded, Hit, PassageIndex, TextEncoder
from shared.errors.base import Unavailable

DIMENSION = 512


class FakeEncoder(TextEncoder):
    """Bags of words: texts are as similar as the words that they share."""

    def __init__(self) -> None:
        self.release = "m1"
        self.down = False

    async def encode(self, texts: Sequence[str]) -> Encoded:
        self._check()
        vectors = np.zeros((len(texts), DIMENSION), np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w{4,}", text.lower()) or ["-"]:
                vectors[row, crc32(word.encode()) % DIMENSION] += 1.0
        return Encoded(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), self.release)

    async def model_release(self) -> str:
        self._check()
        return self.release

    def _check(self) -> None:
        if self.down:
            raise Unavailable("encoder")


class FakeIndex(PassageIndex):
    """Passages by model release and place."""

    def __init__(self) -> None:
        self.passages: dict[str, dict[tuple[str, int], tuple[str, np.ndarray]]] = {}  # type: ignore[type-arg]
        self.down = False

    async def write(self, document_id: str, revision: str, texts: Sequence[str], encoded: Encoded) -> None:
        self._check()
        held = self.passages.setdefault(encoded.model_release, {})
        held.update({(document_id, n): (revision, encoded.vectors[n]) for n in range(len(texts))})
        self._drop(document_id, keep=revision)

    async def delete(self, document_id: str) -> None:
        self._check()
        self._drop(document_id, keep="")

    async def count(self, model_release: str) -> int:
        self._check()
        return len(self.passages.get(model_release, {}))

    async def search(self, question: str, encoded: Encoded, limit: int) -> list[Hit]:
        self._check()
        held = self.passages.get(encoded.model_release, {})
        hits = [
            Hit(document_id, number, revision, float(vector @ encoded.vectors[0]))
            for (document_id, number), (revision, vector) in held.items()
        ]
        return sorted(hits, key=lambda hit: -hit.cosine)[:limit]

    def _drop(self, document_id: str, keep: str) -> None:
        for held in self.passages.values():
            for key in [key for key, (revision, _) in held.items() if key[0] == document_id and revision != keep]:
                del held[key]

    def _check(self) -> None:
        if self.down:
            raise Unavailable("retrieval")
