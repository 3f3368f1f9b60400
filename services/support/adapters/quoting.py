"""Answers by quoting: the sentences of the found passages that are most similar to the question, word for word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.support.domain import FoundPassage, Quote, split_sentences
from services.support.ports import TextEncoder, Vectors

PASSAGES_READ = 6
SENTENCES_READ = 60
# A second sentence is quoted when it is nearly as good as the best; measured on the calibration questions.
MARGIN = 0.12
SENTENCES_QUOTED = 4


class QuotingAnswerer:
    """Quotes; it never says what does not stand in a passage."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder

    async def compose(
        self, question: str, found: Sequence[FoundPassage], max_citations: int
    ) -> tuple[list[Quote], float]:
        """Chooses at most four sentences of at most `max_citations` passages."""
        read = sorted(found, key=lambda item: -item.cosine)[:PASSAGES_READ]
        sentences = [(place, text) for place, item in enumerate(read) for text in split_sentences(item.passage.text)]
        sentences = sentences[:SENTENCES_READ]
        if not sentences:
            return [], 0.0
        # Headings give a sentence its subject ("Within 30 days" alone says little); only the sentence is quoted.
        texts = [" ".join([*read[place].passage.headings[-1:], text]) for place, text in sentences]
        encoded = await self._encoder.encode([question, *texts])
        cosines = _blend(encoded.vectors, [read[place].cosine for place, _ in sentences])
        return _quotes(read, sentences, cosines, max_citations), float(np.max(encoded.vectors[1:] @ encoded.vectors[0]))


def _blend(vectors: Vectors, passage_cosines: Sequence[float]) -> Vectors:
    """Half the sentence's own similarity, half its passage's: the passage knows what a short sentence is about."""
    own = vectors[1:] @ vectors[0]
    return np.asarray(0.5 * own + 0.5 * np.asarray(passage_cosines, dtype=np.float32), dtype=np.float32)


def _quotes(
    read: Sequence[FoundPassage], sentences: Sequence[tuple[int, str]], cosines: Vectors, max_citations: int
) -> list[Quote]:
    best = float(np.max(cosines))
    chosen: dict[int, list[int]] = {}
    for index in np.argsort(-cosines, kind="stable")[:SENTENCES_QUOTED]:
        place = sentences[index][0]
        if cosines[index] < best - MARGIN or (place not in chosen and len(chosen) == max_citations):
            continue
        chosen.setdefault(place, []).append(int(index))
    return [
        Quote(read[place].passage, read[place].cosine, tuple(sentences[index][1] for index in sorted(indexes)))
        for place, indexes in chosen.items()
    ]
