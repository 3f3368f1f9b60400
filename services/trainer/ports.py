"""What the trainer needs from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from services.trainer.domain import Ints, Longs, Release

TableKind = Literal["neighbours", "statistics"]


@dataclass(frozen=True, slots=True)
class EventChunk:
    """Rows as the profile service streams them: one a product of a purchase."""

    user_keys: Sequence[bytes]
    product_ids: Sequence[str]
    users: Ints
    products: Ints
    times_s: Longs
    events: Longs
    total_rows: int


class PurchaseSource(Protocol):
    """Where purchases come from."""

    def read(self) -> AsyncIterator[EventChunk]:
        """Streams the current tenant's purchases by time. Raises Unavailable."""


class CategorySource(Protocol):
    """Where category paths come from."""

    async def paths(self, product_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Returns the category paths, root first, of products that the catalogue knows. Raises Unavailable."""


class ReleaseRepository(Protocol):
    """Releases, their tables and the pointer to the current one. All methods raise Unavailable."""

    def job_lock(self, tenant: str) -> AbstractAsyncContextManager[bool]:
        """Holds the tenant's job lock across processes inside the block; yields False when another has it."""

    async def save(self, tenant: str, release: Release, chunks: dict[TableKind, list[bytes]]) -> None:
        """Stores a release and its tables in one transaction; it is not current yet."""

    async def promote(self, tenant: str, release_id: str) -> Release:
        """Makes a release current and deletes those beyond the number kept. Raises ReleaseNotFound."""

    async def current(self, tenant: str) -> Release:
        """Returns the current release. Raises ReleaseNotFound."""

    async def all_current(self) -> dict[str, Release]:
        """Returns the current release of every tenant that has one."""

    async def list_before(self, tenant: str, before: str, limit: int) -> list[Release]:
        """Returns releases, newest first, older than `before`; empty `before`: from the newest."""

    def read_table(self, tenant: str, release_id: str, kind: TableKind) -> AsyncIterator[bytes]:
        """Streams a table's messages as they were saved. Raises ReleaseNotFound."""
