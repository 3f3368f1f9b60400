"""Vectors of an index in memory: all of them by row, as long as they fit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.growing import GrowingArray
from services.retrieval.domain.product import Vector

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


class VectorRows:
    """Unit vectors by row. Once they take more than `limit_bytes`, none are held any more (`complete` is False)."""

    def __init__(self, dimension: int, limit_bytes: int) -> None:
        self.dimension = dimension
        self._limit_bytes = limit_bytes
        self._rows: GrowingArray[np.float32] | None = GrowingArray(np.float32, dimension)

    @property
    def complete(self) -> bool:
        """Whether the vector of every row is held."""
        return self._rows is not None

    @property
    def reserved_bytes(self) -> int:
        """Memory taken."""
        return self._rows.reserved_bytes if self._rows is not None else 0

    def put(self, row: int, vector: Vector | None) -> None:
        """Sets a row's vector. New rows must come in order. None: the vector stays as it is."""
        if self._rows is None:
            return
        if row == len(self._rows):
            self._rows.append(0.0 if vector is None else vector)
            if vector is None or self._rows.reserved_bytes > self._limit_bytes:
                self._rows = None
        elif vector is not None:
            self._rows.values[row] = vector

    def get(self, rows: Rows) -> Floats:
        """Vectors `[N, D]` of rows. Only when `complete`."""
        return self._all()[rows]

    def scores(self, query: Vector, rows: Rows | None = None) -> Floats:
        """Cosine of a unit vector to those of `rows`, or of all rows. Only when `complete`."""
        vectors = self._all() if rows is None else self._all()[rows]
        scores: Floats = vectors @ query
        return scores

    def _all(self) -> Floats:
        if self._rows is None:
            raise LookupError("the vectors are not held in memory")
        return self._rows.values


def weighted_mean(vectors: Floats, weights: npt.NDArray[np.float64]) -> Vector | None:
    """Unit vector in the direction of the weighted sum; None when they cancel out."""
    total = weights.astype(np.float32) @ vectors
    norm = float(np.linalg.norm(total))
    if norm < 1e-9:
        return None
    mean: Vector = (total / norm).astype(np.float32)
    return mean


def best(scores: Floats, rows: Rows, count: int) -> tuple[Rows, Floats]:
    """The `count` rows with the highest scores, best first; of equals, the lower row first."""
    if len(rows) > count:
        kept = np.argpartition(-scores, count - 1)[:count]
        scores, rows = scores[kept], rows[kept]
    order = np.lexsort((rows, -scores))
    return rows[order], scores[order]
