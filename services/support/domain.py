"""Documents, passages and answers, and the rules between them. No input or output."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum

CUTTING_RULES = "1"
"""Changes whenever `cut_passages` would cut otherwise, so that documents are cut and indexed again."""

_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"'(]?[A-Z0-9ÁÉÍÓÚÄÖÜ])")
_WORD = re.compile(r"[^\W_]+", re.UNICODE)


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document that can be quoted."""

    number: int
    headings: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A text by the shop."""

    document_id: str
    title: str
    text: str
    uri: str = ""
    language_code: str = ""
    update_time: datetime | None = None
    passage_count: int = 0

    def revision(self, passage_words: int) -> str:
        """Names this version of the text; passages of another are stale."""
        parts = (CUTTING_RULES, str(passage_words), self.title, self.text)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A passage with what a citation needs."""

    document_id: str
    number: int
    title: str
    uri: str
    headings: tuple[str, ...]
    text: str
    revision: str

    @property
    def searchable(self) -> str:
        """What is indexed: title and headings give the passage its subject."""
        return "\n".join(dict.fromkeys([self.title, *self.headings, self.text]))


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A stored passage and how well it fits a question: cosine similarity, from -1 to 1."""

    passage: StoredPassage
    cosine: float


@dataclass(frozen=True, slots=True)
class Quote:
    """Sentences of one passage, word for word, in the passage's order."""

    passage: StoredPassage
    cosine: float
    sentences: tuple[str, ...]


class Outcome(Enum):
    """How an answer ended."""

    ANSWERED = 1
    UNANSWERED = 2


class Part(StrEnum):
    """A part of an answer's making."""

    ENCODER = "encoder"
    INDEX = "index"
    DOCUMENTS = "documents"


@dataclass(frozen=True, slots=True)
class Missing:
    """A part that could not be reached, and why, for people."""

    part: Part
    cause: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a customer is told. Quotes are empty when the outcome is UNANSWERED."""

    outcome: Outcome
    confidence: float
    threshold: float
    quotes: tuple[Quote, ...] = ()
    handover: str = ""
    missing: Missing | None = None
    """What could not be reached, so that nothing was answered."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for an answer: cosines of the best passage and sentence, share of the question's words found."""

    passage_cosine: float
    sentence_cosine: float
    word_coverage: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Turns evidence into the probability that the quoted passage answers (logistic regression, Platt 1999)."""

    weights: tuple[float, float, float]
    bias: float
    threshold: float
    note: dict[str, object] = field(default_factory=dict)

    def confidence(self, evidence: Evidence) -> float:
        """Probability from 0 to 1."""
        values = (evidence.passage_cosine, evidence.sentence_cosine, evidence.word_coverage)
        logit = self.bias + sum(w * x for w, x in zip(self.weights, values, strict=True))
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, logit))))


def cut_passages(text: str, max_words: int) -> list[Passage]:
    """Cuts plain text or Markdown into passages of at most about `max_words` words.

    A passage never crosses a heading; short paragraphs are joined, long ones are cut between sentences.
    """
    passages: list[Passage] = []
    for headings, paragraphs in _sections(text):
        pending: list[str] = []
        for piece in _pieces(paragraphs, max_words):
            if pending and _words("\n".join([*pending, piece])) > max_words:
                passages.append(Passage(len(passages), headings, "\n".join(pending)))
                pending = []
            pending.append(piece)
        if pending:
            passages.append(Passage(len(passages), headings, "\n".join(pending)))
    return passages


def split_sentences(text: str) -> list[str]:
    """Sentences and list items of a passage, word for word."""
    lines = (line.strip() for line in text.splitlines())
    return [sentence for line in lines if line for sentence in _SENTENCE_END.split(line)]


def content_words(text: str) -> set[str]:
    """Words of four letters or more, lower case and cut to six letters, which joins most inflected forms."""
    return {word[:6] for word in (match.group().lower() for match in _WORD.finditer(text)) if len(word) >= 4}


def word_coverage(question: str, texts: Sequence[str]) -> float:
    """Share of the question's content words that occur in any of `texts`; 1 for a question without such words."""
    wanted = content_words(question)
    found = set().union(*(content_words(text) for text in texts)) if texts else set()
    return len(wanted & found) / len(wanted) if wanted else 1.0


def _sections(text: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Headings in force and the paragraphs under them."""
    headings: list[tuple[int, str]] = []
    lines: list[str] = []
    for line in [*text.splitlines(), "# "]:
        heading = _HEADING.match(line)
        if heading is None:
            lines.append(line)
            continue
        paragraphs = [part.strip() for part in re.split(r"\n\s*\n", "\n".join(lines)) if part.strip()]
        if paragraphs:
            yield tuple(name for _, name in headings), paragraphs
        level = len(heading.group(1))
        headings = [*(item for item in headings if item[0] < level), (level, heading.group(2))]
        lines = []


def _pieces(paragraphs: Sequence[str], max_words: int) -> Iterator[str]:
    """Paragraphs, those that are too long cut between sentences, and sentences that are too long cut between words."""
    for paragraph in paragraphs:
        if _words(paragraph) <= max_words:
            yield paragraph
            continue
        pending: list[str] = []
        for sentence in split_sentences(paragraph):
            if pending and _words(" ".join([*pending, sentence])) > max_words:
                yield " ".join(pending)
                pending = []
            pending.append(sentence)
        words = " ".join(pending).split()
        for start in range(0, len(words), max_words):
            yield " ".join(words[start : start + max_words])


def _words(text: str) -> int:
    return len(text.split())
