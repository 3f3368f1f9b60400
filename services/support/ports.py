"""What the support service needs from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt

from services.support.domain import Document, FoundPassage, Passage, Quote, StoredPassage
from shared.telemetry.outbox import Backlog

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Unit vectors `[N, D]` of one model release."""

    vectors: Vectors
    model_release: str


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did to one document: exactly one is true."""

    created: bool = False
    updated: bool = False
    unchanged: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A document that waits for the index."""

    tenant: str
    document_id: str
    number: int
    attempts: int
    lease_until: datetime
    """Until when nobody else writes this document; tells claims apart."""
    waited_s: float = 0.0
    """Since the change was noted, when it was claimed."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage as the index names it."""

    document_id: str
    number: int
    revision: str
    cosine: float


class DocumentRepository(Protocol):
    """Documents and their change feed. All methods raise Unavailable."""

    async def put(self, tenant: str, documents: Sequence[Document]) -> list[Written]:
        """Stores documents, passages and changes in one transaction; ids must be distinct."""

    async def get(self, tenant: str, document_id: str) -> Document:
        """Returns a document. Raises DocumentNotFound."""

    async def list_after(self, tenant: str, after: str, limit: int) -> list[Document]:
        """Returns documents without text, by id, after `after`."""

    async def delete(self, tenant: str, document_id: str) -> bool:
        """Deletes a document and notes the change; False when there was none."""

    async def passages(self, tenant: str, hits: Sequence[Hit]) -> list[FoundPassage]:
        """Returns those of `hits` that are passages of a document as it is now, in the order of `hits`."""

    async def document_passages(self, tenant: str, document_id: str) -> list[StoredPassage]:
        """Returns a document's passages in order; none when it does not exist."""

    async def count(self, tenant: str) -> tuple[int, int]:
        """Returns documents stored, and those waiting for the index."""

    async def tenants(self) -> list[str]:
        """Returns tenants that have documents."""

    async def settled_passages(self, tenant: str) -> int:
        """Counts passages of documents that do not wait for the index: what the index must hold."""


class ChangeFeed(Protocol):
    """Changes that wait for the index. All methods raise Unavailable."""

    async def claim(self, limit: int, lease_seconds: float) -> list[Change]:
        """Claims the oldest changes; nobody else claims these documents before the lease ends."""

    async def finish(self, change: Change) -> None:
        """Ends a claim; the change is removed unless the document changed again meanwhile."""

    async def put_back(self, change: Change, error: str, wait_seconds: float) -> None:
        """Ends a claim; the change is offered again after a wait."""

    async def note_all(self, tenant: str) -> None:
        """Notes every document of a tenant as changed, for an index that was lost."""

    async def backlog(self) -> Backlog:
        """Counts what waits, of all tenants."""


class TextEncoder(Protocol):
    """Turns texts into vectors."""

    async def encode(self, texts: Sequence[str]) -> Encoded:
        """Encodes texts, all with one model release. Raises Unavailable, DeadlineExceeded."""

    async def model_release(self) -> str:
        """Returns the release that encodes now. Raises Unavailable, DeadlineExceeded."""


class PassageIndex(Protocol):
    """Finds passages."""

    async def write(self, document_id: str, revision: str, texts: Sequence[str], encoded: Encoded) -> None:
        """Writes all passages of a revision and drops those of others. Raises Unavailable."""

    async def delete(self, document_id: str) -> None:
        """Drops all passages of a document. Raises Unavailable."""

    async def count(self, model_release: str) -> int:
        """Counts the passages whose vectors a model release made. Raises Unavailable."""

    async def search(self, question: str, encoded: Encoded, limit: int) -> list[Hit]:
        """Returns passages, best first. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Systems:
    """What indexing works with."""

    repository: DocumentRepository
    feed: ChangeFeed
    encoder: TextEncoder
    index: PassageIndex


class Answerer(Protocol):
    """Makes an answer from passages. A generative model would stand here."""

    async def compose(
        self, question: str, found: Sequence[FoundPassage], max_citations: int
    ) -> tuple[list[Quote], float]:
        """Returns quotes, the best first, and the cosine of the best sentence. Raises Unavailable."""


class DocumentCutter(Protocol):
    """Cuts documents; the repository stores what it returns."""

    def __call__(self, document: Document) -> list[Passage]:
        """Returns passages numbered from 0."""
