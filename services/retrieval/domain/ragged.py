"""Entries of varying number a row, in columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.growing import GrowingArray

NO_ROW = -1
_FEWEST_DEAD = 4096
"""Fewer dead entries than this are not worth a compaction."""

Array = npt.NDArray[Any]


class RaggedColumns:
    """The entries of a row stand together. Replaced ones stay, pointing to no row, until they are half of all."""

    def __init__(self, *dtypes: type[np.generic]) -> None:
        self._columns = [GrowingArray(dtype) for dtype in dtypes]
        self._owners = GrowingArray(np.int32)
        self._starts = GrowingArray(np.int64)
        self._counts = GrowingArray(np.int32)
        self._dead = 0

    def column(self, number: int) -> Array:
        """All values of a column, dead ones too."""
        return self._columns[number].values

    @property
    def owners(self) -> npt.NDArray[np.int32]:
        """The row of each entry; NO_ROW: dead."""
        return self._owners.values

    def get(self, row: int) -> list[Array]:
        """The columns' values of one row."""
        part = self._part(row)
        return [column.values[part] for column in self._columns]

    def put(self, row: int, *columns: Array) -> None:
        """Sets a row's entries. Rows must be put in order the first time."""
        if row < len(self._starts):
            if all(np.array_equal(old, new) for old, new in zip(self.get(row), columns, strict=True)):
                return
            part = self._part(row)
            self._owners.values[part] = NO_ROW
            self._dead += part.stop - part.start
        else:
            self._starts.append(0)
            self._counts.append(0)
        self._starts.values[row], self._counts.values[row] = len(self._owners), len(columns[0])
        for column, values in zip(self._columns, columns, strict=True):
            column.extend(values)
        self._owners.extend(np.full(len(columns[0]), row, np.int32))
        if self._dead > max(_FEWEST_DEAD, len(self._owners) // 2):
            self._compact()

    def marked(self, chosen: npt.NDArray[np.bool_], rows: int) -> npt.NDArray[np.bool_]:
        """Which rows own at least one of the chosen entries."""
        owners = self._owners.values[chosen]
        found = np.zeros(rows, bool)
        found[owners[owners != NO_ROW]] = True
        return found

    def _part(self, row: int) -> slice:
        start = int(self._starts.values[row])
        return slice(start, start + int(self._counts.values[row]))

    def _compact(self) -> None:
        alive = self._owners.values != NO_ROW
        for column in self._columns:
            column.replace(column.values[alive].copy())
        self._owners.replace(self._owners.values[alive].copy())
        first = np.flatnonzero(np.diff(self._owners.values, prepend=NO_ROW))
        self._starts.values[self._owners.values[first]] = first
        self._dead = 0
