"""What the catalogue needs from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.catalog.domain import CatalogState, Change, Facts, ProductWrite, StoredProduct
from shared.telemetry.outbox import Backlog


class ProductTransaction(Protocol):
    """Products of one tenant within one transaction."""

    async def lock(self, product_ids: Sequence[str]) -> dict[str, StoredProduct]:
        """Returns those that exist and holds them until the end of the transaction."""

    async def put(self, writes: Sequence[ProductWrite]) -> None:
        """Stores products and notes their changes; ids must be distinct."""

    async def confirm(self, offer_times: Mapping[str, datetime]) -> None:
        """Notes that offers held still at later times, so that older messages do not change them."""


class ProductRepository(Protocol):
    """Products and their changes. All methods raise Unavailable."""

    def transaction(self, tenant: str) -> AbstractAsyncContextManager[ProductTransaction]:
        """Commits at the end of the block, or stores nothing."""

    async def read(self, tenant: str, product_ids: Sequence[str], *, basic: bool) -> dict[str, StoredProduct]:
        """Returns those that exist; `basic` leaves the details empty."""

    async def facts(self, tenant: str, product_ids: Sequence[str]) -> list[Facts]:
        """Returns facts of those that exist."""

    async def list_after(self, tenant: str, after: str, category: str, limit: int) -> list[StoredProduct]:
        """Returns products by id, after `after`; `category` empty: all."""

    async def delete(self, tenant: str, product_id: str) -> bool:
        """Deletes a product and notes the change; False when there was none."""

    async def state(self, tenant: str) -> CatalogState:
        """Counts."""

    async def tenants(self) -> list[str]:
        """Returns tenants that have products."""


class ChangeFeed(Protocol):
    """Changes that wait for the index. All methods raise Unavailable."""

    async def claim(self, limit: int, lease_seconds: float) -> list[Change]:
        """Claims the oldest changes of one tenant; nobody else claims these products before the lease ends."""

    async def claim_products(self, tenant: str, product_ids: Sequence[str], lease_seconds: float) -> list[Change]:
        """Claims products whether or not they changed: those that exist and that nobody else holds."""

    async def finish(self, changes: Sequence[Change]) -> None:
        """Ends one claim; its changes are removed, but for products that changed again meanwhile."""

    async def put_back(self, changes: Sequence[Change], error: str, wait_seconds: float, *, blamed: bool) -> None:
        """Ends one claim; its changes are offered again after a wait. `blamed`: this counts as an attempt."""

    async def note_all(self, tenant: str) -> None:
        """Notes every product as changed."""

    async def backlog(self) -> Backlog:
        """Counts what waits, of all tenants."""

    def rebuild_lock(self, tenant: str) -> AbstractAsyncContextManager[bool]:
        """Holds the tenant's rebuild lock across processes inside the block; yields False when another has it."""


@dataclass(frozen=True, slots=True)
class Model:
    """The encoder's model."""

    release: str
    dimension: int


@dataclass(frozen=True, slots=True)
class IndexedItem:
    """A product, ready for the index."""

    product: StoredProduct
    vector: bytes


@dataclass(frozen=True, slots=True)
class IndexState:
    """Indexes of a tenant; empty names: none."""

    active: str
    model_release: str
    product_count: int
    building: str


class ProductEncoder(Protocol):
    """Turns products into vectors. All methods raise Unavailable, DeadlineExceeded."""

    async def model(self) -> Model:
        """Returns the model that answers."""

    async def encode(self, products: Sequence[StoredProduct]) -> tuple[list[bytes], str]:
        """Encodes at most 256 products; returns vectors and the model's release."""

    async def compare(
        self, product: StoredProduct, others: Sequence[StoredProduct]
    ) -> tuple[list[tuple[float, float]], str]:
        """Cosine and Pearson correlation to each of at most 128 others, and the model's release."""


class ProductIndex(Protocol):
    """The index of the current tenant. All methods raise Unavailable, FailedPrecondition (MODEL_MISMATCH)."""

    async def state(self) -> IndexState:
        """Returns which indexes there are."""

    async def begin(self, model: Model, *, first_only: bool = False) -> str:
        """Makes an empty index; the first one is active at once. ``first_only``: only where there is none."""

    async def activate(self, index: str) -> None:
        """Moves the alias."""

    async def upsert(self, items: Sequence[IndexedItem], model_release: str, index: str = "") -> None:
        """Writes products; empty `index`: the active one and one being built."""

    async def update_offers(self, products: Sequence[StoredProduct]) -> None:
        """Writes price and availability."""

    async def delete(self, changes: Mapping[str, int]) -> None:
        """Drops products, unless the index holds a later change than the one given."""


@dataclass(frozen=True, slots=True)
class Systems:
    """What indexing reads and writes."""

    repository: ProductRepository
    feed: ChangeFeed
    encoder: ProductEncoder
    index: ProductIndex


RebuildProgress = AsyncIterator[tuple[str, int, int, bool]]
"""Index, products written, products in all, whether the alias has moved."""
