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
class ItemStatistics:
    """Columns by product, as documented in `ReadItemStatisticsResponse`."""

    popularities: Floats
    trends: Floats
    repeat_interval_days: Floats
    repeat_shares: Floats
    purchase_counts: Longs
    buyer_counts: Longs


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
    statistics: ItemStatistics
    neighbours: ItemNeighbours
    data_end_time_s: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is; `total` 0 means not known."""

    step: str
    done: int = 0
    total: int = 0
