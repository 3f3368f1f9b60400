"""What features are computed from: candidates, a person's history and a release's statistics, in columns.

Legend: C candidates, P products of the release, R purchases (rows), K distinct products bought.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def _no_rows() -> Longs:
    return np.empty(0, np.int64)


class Channel(IntEnum):
    """What brought a candidate; numbers as in the contract."""

    BUY_AGAIN = 1
    SIMILAR_TO_RECENT = 2
    BOUGHT_TOGETHER = 3
    TRENDING = 4
    NEW = 5
    POPULAR_IN_CATEGORY = 6
    SEMANTIC = 7
    KEYWORD = 8
    POPULAR = 9
    BEHAVIOUR = 10


@dataclass(frozen=True, slots=True)
class Candidates:
    """What retrieval found, in columns `[C]`."""

    product_ids: tuple[str, ...]
    category_names: tuple[str, ...]
    """Distinct whole paths joined by ` > `; empty when unknown."""
    categories: Longs
    """Position in `category_names`."""
    brand_names: tuple[str, ...]
    brands: Longs
    """Position in `brand_names`."""
    channel_masks: Longs
    neighbour_scores: Doubles
    neighbour_seeds: Longs
    content_scores: Doubles
    publish_times_s: Longs
    query_scores: Doubles | None = None
    behaviour_scores: Doubles | None = None
    """Inner product of user and item vector; None: the release has no behaviour model, or the person is not known."""
    prices: Doubles | None = None
    """Units of the shop's currency; 0: not known. None: not known of any."""


@dataclass(frozen=True, slots=True)
class History:
    """What a person bought and looked at. Rows are oldest first."""

    product_ids: tuple[str, ...] = ()
    category_names: tuple[str, ...] = ()
    categories: Longs = field(default_factory=_no_rows)
    """Position in `category_names`, by position in `product_ids`."""
    product_indexes: Longs = field(default_factory=_no_rows)
    times_s: Longs = field(default_factory=_no_rows)
    baskets: Longs = field(default_factory=_no_rows)
    browsed: Mapping[str, float] | None = None
    """Seconds since 1970 of the latest view, click or cart by product."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Item statistics of one release, in columns `[P]`, and the renewal table."""

    release_id: str
    positions: Mapping[str, int]
    buyers_7d: Doubles
    buyers_28d: Doubles
    buyers_56d: Doubles
    buyers_112d: Doubles
    repeat_interval_days: Doubles
    repurchase_probabilities: Doubles
    leaf_sizes: Mapping[str, float]
    """Sum over a leaf's products of (buyers_56d + .5)."""
    leaf_total: float
    user_count: int
    renewal: Doubles
    renewal_count_edges: Doubles
    renewal_day_edges: Doubles
