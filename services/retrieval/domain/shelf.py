"""A release's lists laid over the rows of an index: who neighbours whom, and which rows sell best."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.behaviour import BehaviourVectors
from services.retrieval.domain.release import ReleaseLists
from services.retrieval.domain.table import ProductTable

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
DAY_S = 86_400
MOST_NEW = 0.5
"""When more than this share of products is new, the shop itself is, and none of them is news."""


class Shelf:
    """Valid for the rows that the table had when it was made; later rows have no statistics yet."""

    def __init__(self, table: ProductTable, lists: ReleaseLists | None, new_days: int) -> None:
        self._table = table
        self._lists = lists
        self.release_id = lists.release_id if lists else ""
        self.shape_version = table.shape_version
        self.size = table.size
        self.live = table.live.copy()
        self._items = _items_of_rows(table, lists)
        known = self._items >= 0
        self.popularity = np.zeros(self.size, np.float32)
        trend = np.zeros(self.size, np.float32)
        if lists is not None:
            self.popularity[known] = lists.popularities[self._items[known]]
            trend[known] = lists.trends[self._items[known]]
        self.popular = _descending(self.popularity, self.live)
        # What sells well and better lately: the growth counts, and more where there are many buyers.
        self.trending = _descending(np.maximum(trend - 1.0, 0.0) * np.sqrt(self.popularity), self.live)
        self.new = self._new_rows(new_days)
        self.best_sellers = self._all_rows()
        """All rows: best sellers first, then those without sales, newest first."""
        self._by_category: dict[str, Rows] = {}
        self.behaviour = lists.behaviour if lists else None
        self._behaviour_size = len(self.behaviour) if self.behaviour is not None else 0
        self._vector_places = _vector_places(table, self.behaviour)

    def fits(self, table: ProductTable, lists: ReleaseLists | None) -> bool:
        """Whether neither the products nor their behaviour vectors have changed since."""
        vectors = len(self.behaviour) if self.behaviour is not None else 0
        same = self.made_of(lists) and self._behaviour_size == vectors
        return same and self.shape_version == table.shape_version

    def made_of(self, lists: ReleaseLists | None) -> bool:
        """Whether these are the lists; a release that was read again has new ones."""
        return self._lists is lists

    def vector_places(self, rows: Rows) -> npt.NDArray[np.int32]:
        """Where the behaviour vectors of rows stand; -1: they have none."""
        places: npt.NDArray[np.int32] = self._vector_places[np.minimum(rows, self.size)]
        return places

    def popular_in(self, category: str) -> Rows:
        """Rows of a category, named by its whole path or by any level, best sellers first."""
        rows = self._by_category.get(category)
        if rows is None:
            inside = self._table.paths.within(category)
            rows = self.popular[inside[self._table.path_numbers[self.popular]]]
            self._by_category[category] = rows
        return rows

    def by_row(self, values: npt.NDArray[np.float64]) -> Floats:
        """Values by item as values by row of the table as it is now; 0 for rows without an item."""
        found = np.zeros(self._table.size, np.float32)
        found[: self.size] = np.append(values, 0.0)[self._items]  # item -1 is the 0 at the end
        return found

    def items(self, rows: Rows) -> npt.NDArray[np.int32]:
        """Numbers of rows in the release; -1: none."""
        found: npt.NDArray[np.int32] = np.append(self._items, np.int32(-1))[np.minimum(rows, self.size)]
        return found

    def _all_rows(self) -> Rows:
        unsold = np.flatnonzero(self.live & (self.popularity <= 0))
        unsold = unsold[np.argsort(-self._table.publish_times[unsold], kind="stable")]
        return np.concatenate([self.popular, unsold])

    def _new_rows(self, new_days: int) -> Rows:
        """Rows of products that the shop began to sell in the days before its newest, newest first."""
        times = self._table.publish_times
        live = np.flatnonzero(self.live & (times > 0))
        if not len(live):
            return live
        new = live[times[live] > times[live].max() - new_days * DAY_S]
        if len(new) > MOST_NEW * int(self.live.sum()):
            return np.empty(0, np.int64)
        rows: Rows = new[np.lexsort((-self.popularity[new], -times[new]))]
        return rows


def _items_of_rows(table: ProductTable, lists: ReleaseLists | None) -> npt.NDArray[np.int32]:
    """By row: number of the item in the release; -1: none."""
    if lists is None:
        return np.full(table.size, -1, np.int32)
    numbers = lists.numbers
    return np.array([numbers.get(one, -1) for one in table.ids], np.int32)


def _vector_places(table: ProductTable, behaviour: BehaviourVectors | None) -> npt.NDArray[np.int32]:
    """By row: where its behaviour vector stands; -1: it has none. One more at the end, for rows that came later."""
    if behaviour is None:
        return np.full(table.size + 1, -1, np.int32)
    return np.array([*(behaviour.place(one) for one in table.ids), -1], np.int32)


def _descending(values: Floats, live: Bools) -> Rows:
    """Live rows with a value above 0, highest first; of equals, the lower row first."""
    rows = np.flatnonzero(live & (values > 0))
    return rows[np.argsort(-values[rows], kind="stable")]


def take(order: Rows, allowed: Bools, count: int) -> Rows:
    """The first `count` rows of an order that are allowed. Looks no further than it must."""
    found: list[Rows] = []
    start, window, missing = 0, 4 * count, count
    while missing > 0 and start < len(order):
        part = order[start : start + window]
        part = part[allowed[part]][:missing]
        found.append(part)
        missing -= len(part)
        start, window = start + window, window * 4
    return np.concatenate(found) if found else np.empty(0, np.int64)
