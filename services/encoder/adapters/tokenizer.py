"""``tokenizer.json`` run by the tokenizers library."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer as FastTokenizer
from typing_extensions import override

from services.encoder.ports import TokenIds, Tokenizer

_INLINE_CHARACTERS = 2_000
"""More than this is cut in a thread (the library releases the GIL), so that the event loop goes on."""


class FileTokenizer(Tokenizer):
    """Stateless after the file was read."""

    def __init__(self, path: Path, max_tokens: int) -> None:
        self._tokenizer = FastTokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    @override
    async def token_ids(self, texts: Sequence[str]) -> list[TokenIds]:
        if sum(map(len, texts)) <= _INLINE_CHARACTERS:
            return self._cut(texts)
        return await asyncio.to_thread(self._cut, texts)

    def _cut(self, texts: Sequence[str]) -> list[TokenIds]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]
