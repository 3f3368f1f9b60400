"""Indexes: their names, and one that is held in memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.retrieval.domain.release import ReleaseLists
from services.retrieval.domain.shelf import Shelf
from services.retrieval.domain.table import ProductTable

DELETES_REMEMBERED = 50_000
SHELVES_KEPT = 3
"""The current release, the one before and the one on trial may be asked for by turns."""
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
    _deleted: OrderedDict[str, int] = field(default_factory=OrderedDict, init=False)
    _shelves: OrderedDict[str, tuple[float, Shelf]] = field(default_factory=OrderedDict, init=False)
    """When each was made, by release."""

    def change_number(self, product_id: str) -> int | None:
        """The latest change that is known of a product, its delete included."""
        held, deleted = self.table.change_number(product_id), self._deleted.get(product_id)
        return held if deleted is None else max(held or 0, deleted)

    def note_deletes(self, changes: Mapping[str, int]) -> None:
        """Remembers deletes, so that a write of an earlier change that is still under way does not undo them."""
        for product_id, number in changes.items():
            self._deleted[product_id] = max(number, self._deleted.pop(product_id, 0))
        while len(self._deleted) > DELETES_REMEMBERED:
            self._deleted.popitem(last=False)

    def shelf(self, lists: ReleaseLists | None, new_days: int) -> Shelf:
        """The release's lists over this index's rows; made again when the release or the products have changed."""
        release_id = lists.release_id if lists else ""
        if kept := self._shelves.get(release_id):
            made, shelf = kept
            fresh = time.monotonic() - made < SHELF_SECONDS
            if shelf.fits(self.table, lists) or (fresh and shelf.size and shelf.made_of(lists)):
                self._shelves.move_to_end(release_id)
                return shelf
        shelf = Shelf(self.table, lists, new_days)
        self._shelves[release_id] = (time.monotonic(), shelf)
        while len(self._shelves) > SHELVES_KEPT:
            self._shelves.popitem(last=False)
        return shelf
