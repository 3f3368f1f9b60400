"""Arrays that grow at the end."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

S = TypeVar("S", bound=np.generic)
_FIRST_ROWS = 1024


class GrowingArray(Generic[S]):
    """Rows of one type, appended in amortised constant time. `values` is a view: valid until the next append."""

    def __init__(self, dtype: type[S], width: int = 0) -> None:
        self._room: npt.NDArray[S] = np.zeros((_FIRST_ROWS, width) if width else _FIRST_ROWS, dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def values(self) -> npt.NDArray[S]:
        """All rows."""
        return self._room[: self._size]

    @property
    def reserved_bytes(self) -> int:
        """Memory taken."""
        return self._room.nbytes

    def append(self, value: Any) -> None:
        """Adds a row."""
        self._reserve(1)
        self._room[self._size] = value
        self._size += 1

    def extend(self, values: npt.NDArray[S]) -> None:
        """Adds rows."""
        self._reserve(len(values))
        self._room[self._size : self._size + len(values)] = values
        self._size += len(values)

    def replace(self, values: npt.NDArray[S]) -> None:
        """Holds these rows instead."""
        self._size = 0
        self.extend(values)

    def _reserve(self, count: int) -> None:
        needed = self._size + count
        if needed <= len(self._room):
            return
        # Half as much again: doubling would take a gigabyte at once for a large catalogue's vectors.
        rows = max(needed, len(self._room) + len(self._room) // 2)
        room: npt.NDArray[S] = np.zeros((rows, *self._room.shape[1:]), self._room.dtype)
        room[: self._size] = self._room[: self._size]
        self._room = room
