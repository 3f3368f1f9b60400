"""Releases and their tables. No input or output."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Release:
    """One training run's outcome."""

    release_id: str
    create_time: datetime
    current: bool
    data_end_time: datetime
    purchase_count: int
    user_count: int
    product_count: int
    pair_count: int


@dataclass(frozen=True, slots=True)
class Purchases:
    """Purchases in columns: one row a product of a basket. Times are seconds since 1970, UTC.

    Users, products and baskets are numbered from 0 without gaps; a product stands at most once in a basket.
    """

    product_ids: tuple[str, ...]
    user_count: int
    users: Ints
    products: Ints
    baskets: Ints
    times_s: Longs

    @property
    def end_time_s(self) -> int:
        """The latest purchase."""
        return int(self.times_s.max())


@dataclass(frozen=True, slots=True)
class Categories:
    """Leaf category of each product `[P]`, names of the leaves, parent of each leaf `[L]`."""

    leaf_indexes: Ints
    leaves: tuple[str, ...]
    parents: Ints


@dataclass(frozen=True, slots=True)
class ItemStatistics:
    """Columns by product `[P]`, as documented in `ReadItemStatisticsResponse`."""

    buyers: dict[int, Longs]
    """Distinct buyers by window in days."""
    popularities: Floats
    trends: Floats
    repeat_interval_days: Floats
    repurchase_probabilities: Floats
    purchase_counts: Longs


@dataclass(frozen=True, slots=True)
class RenewalTable:
    """P(bought again within 28 days) `[C, D]` by decayed count and days since the last purchase, with upper edges."""

    probabilities: Floats
    count_edges: Floats
    day_edges: Floats


@dataclass(frozen=True, slots=True)
class ItemNeighbours:
    """Neighbours of all products, strongest first: those of product i are rows `offsets[i]` to `offsets[i + 1]`."""

    offsets: Longs
    neighbours: Ints
    weights: Floats


@dataclass(frozen=True, slots=True)
class Tables:
    """What a release holds."""

    product_ids: tuple[str, ...]
    user_count: int
    data_end_time_s: int
    categories: Categories
    statistics: ItemStatistics
    renewal: RenewalTable
    neighbours: ItemNeighbours


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is; `total` 0 means not known."""

    step: str
    done: int = 0
    total: int = 0
