"""What retrieval needs from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.behaviour import BehaviourIndex
from services.retrieval.domain.filter import ProductFilter
from services.retrieval.domain.index import IndexInfo
from services.retrieval.domain.product import FoundPassage, Hit, IndexedProduct, Passage, Vector
from services.retrieval.domain.release import ReleaseLists

Floats = npt.NDArray[np.float32]


class ProductIndexes(Protocol):
    """Collections of products. Every method raises Unavailable, and DeadlineExceeded at the end of the request's time.

    Writes are durable when the method returns, and visible to every later read.
    """

    async def discover(self, tenant: str = "") -> list[IndexInfo]:
        """Returns the indexes of a tenant; without one, of all tenants."""

    async def create(self, tenant: str, model_release: str, dimension: int, number: int) -> IndexInfo:
        """Makes an empty index; it is not active."""

    async def activate(self, info: IndexInfo) -> None:
        """Makes an index its tenant's active one."""

    async def drop(self, info: IndexInfo) -> None:
        """Drops an index with all that it holds; no error when there is none."""

    async def open(self, info: IndexInfo) -> None:
        """Gets an index ready to be read: once for each that `discover` shows, and after failures."""

    async def count(self, info: IndexInfo) -> int:
        """Counts products."""

    def scan(self, info: IndexInfo, *, vectors: bool) -> AsyncIterator[list[IndexedProduct]]:
        """Yields all products in pages, by id, without their keywords."""

    async def upsert(self, info: IndexInfo, products: Sequence[IndexedProduct]) -> None:
        """Adds or replaces products; ids must be distinct and vectors given."""

    async def read(self, info: IndexInfo, product_ids: Sequence[str]) -> list[IndexedProduct]:
        """Returns those that exist, with vectors and keywords, in any order."""

    async def read_vectors(self, info: IndexInfo, product_ids: Sequence[str]) -> dict[str, Vector]:
        """Returns the vectors of those that exist."""

    async def delete(self, info: IndexInfo, product_ids: Sequence[str]) -> None:
        """Deletes products; unknown ids are passed over."""

    async def search_vector(self, info: IndexInfo, vector: Vector, wanted: ProductFilter, limit: int) -> list[Hit]:
        """Returns the products nearest to a unit vector by cosine, best first. `wanted.excluded` is not looked at."""

    async def search_words(self, info: IndexInfo, words: str, wanted: ProductFilter, limit: int) -> list[Hit]:
        """Returns products that have the words, by BM25, best first. Raises NoKeywords. As above otherwise."""

    async def check(self) -> None:
        """Raises when the system does not answer."""


class PassageIndex(Protocol):
    """Passages of support documents, one collection a tenant and model release. Errors as for ProductIndexes."""

    async def upsert(self, tenant: str, model_release: str, passages: Sequence[Passage]) -> None:
        """Adds or replaces passages. Makes the collection when it is missing."""

    async def delete(self, tenant: str, document_id: str, keep_revision: str) -> None:
        """Deletes a document's passages of every model release, but those of `keep_revision` unless that is empty."""

    async def releases(self, tenant: str) -> dict[str, int]:
        """Returns model releases that have a collection, oldest first, with their dimension."""

    async def count(self, tenant: str, model_release: str) -> int:
        """Counts the passages of one model release."""

    async def search_vector(self, tenant: str, model_release: str, vector: Vector, limit: int) -> list[FoundPassage]:
        """Returns the passages nearest to a unit vector by cosine, best first."""

    async def search_words(self, tenant: str, model_release: str, words: str, limit: int) -> list[FoundPassage]:
        """Returns passages that have the words, by BM25, best first. Raises NoKeywords."""


class BehaviourIndexes(Protocol):
    """Product vectors of releases, one collection a release. Errors, durability and visibility as for ProductIndexes.

    Several processes may open and fill the same one at once.
    """

    async def discover(self, tenant: str) -> list[BehaviourIndex]:
        """Returns those of a tenant, whole or not."""

    async def open(self, index: BehaviourIndex) -> None:
        """Gets an index ready to be read and written: made where it is missing, finished where that was cut off."""

    async def whole(self, index: BehaviourIndex) -> bool:
        """Whether the index was marked as whole."""

    async def mark(self, index: BehaviourIndex, *, whole: bool) -> None:
        """Marks that the index holds all vectors that its release brought, or that it does not."""

    async def count(self, index: BehaviourIndex) -> int:
        """Counts vectors."""

    async def upsert(self, index: BehaviourIndex, product_ids: Sequence[str], vectors: Floats) -> None:
        """Adds or replaces vectors `[N, D]`; ids must be distinct."""

    async def read_vectors(self, index: BehaviourIndex, product_ids: Sequence[str]) -> dict[str, Vector]:
        """Returns the vectors of those that exist."""

    async def search(self, index: BehaviourIndex, vector: Vector, limit: int, among: Sequence[str] = ()) -> list[Hit]:
        """Returns the products with the highest inner products, best first; only `among` these unless it is empty."""

    async def drop(self, index: BehaviourIndex) -> None:
        """Drops an index with all that it holds; no error when there is none."""


class ReleaseRecord(Protocol):
    """What the trainer keeps for the current tenant."""

    async def kept(self) -> set[str]:
        """Returns the ids of all releases, served or not. Raises Unavailable, DeadlineExceeded."""


class Releases(Protocol):
    """The trainer's releases as they are held. Only `again` waits."""

    def of(self, tenant: str, release_id: str = "") -> ReleaseLists | None:
        """Returns the lists of a release, of the current one for an empty id; None: it is not held."""

    def current(self, tenant: str) -> str:
        """Returns the id of the current release; empty: none is held."""

    def held(self, tenant: str) -> list[str]:
        """Returns the ids of all releases that are held."""

    async def again(self, tenant: str, release_id: str) -> None:
        """Reads a release that is held once more and holds that instead. Raises Unavailable, NotFound."""


@dataclass(frozen=True, slots=True)
class BehaviourProduct:
    """What is known of a product that nobody may have bought yet."""

    product_id: str
    category: str
    """The whole path, joined."""
    brand: str
    text_vector: Vector


class BehaviourEncoder(Protocol):
    """Makes product vectors of a release's behaviour model."""

    async def encode(self, release_id: str, products: Sequence[BehaviourProduct]) -> Floats:
        """Returns one vector a product `[N, D]`. Raises Unavailable, FailedPrecondition (the release is not loaded)."""
