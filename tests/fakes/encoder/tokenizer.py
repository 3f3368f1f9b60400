"""A tokenizer of words: one number a word, one for the beginning."""

import zlib
from collections.abc import Sequence

from typing_extensions import override

from services.encoder.ports import TokenIds, Tokenizer


class FakeTokenizer(Tokenizer):
    """Lower-cases, as the real one does."""

    def __init__(self, max_tokens: int = 12) -> None:
        self._max_tokens = max_tokens

    @override
    async def token_ids(self, texts: Sequence[str]) -> list[TokenIds]:
        words = ([1, *(zlib.crc32(word.encode()) % 30_000 for word in text.lower().split())] for text in texts)
        return [ids[: self._max_tokens] for ids in words]
