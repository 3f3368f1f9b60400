"""Indexes: their names, and one that is held in memory."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from services.retrieval.domain.release import ReleaseLists
from services.retrieval.domain.shelf import Shelf
from services.retrieval.domain.table import ProductTable

SHELF_SECONDS = 1.0
"""A shelf may be this old while products come and go: making one takes longer than using it."""


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """One collection."""

    name: str
    tenant: str
    model_release: str
    dimension: int
    number: int
    active: bool = False


@dataclass(slots=True)
class LiveIndex:
    """An index and what is held of it in memory."""

    info: IndexInfo
    table: ProductTable
    _shelf: Shelf | None = field(default=None, init=False)
    _made: float = field(default=0.0, init=False)

    def shelf(self, lists: ReleaseLists | None, new_days: int) -> Shelf:
        """The release's lists over this index's rows; made again when the release or the products have changed."""
        shelf, release_id = self._shelf, lists.release_id if lists else ""
        if shelf is not None and shelf.release_id == release_id:
            fresh = time.monotonic() - self._made < SHELF_SECONDS
            if shelf.shape_version == self.table.shape_version or (fresh and shelf.size):
                return shelf
        shelf = Shelf(self.table, lists, new_days)
        self._shelf, self._made = shelf, time.monotonic()
        return shelf
