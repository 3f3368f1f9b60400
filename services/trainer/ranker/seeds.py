"""What stands for a person's interest at a moment, as the gateway asks retrieval: products and leaves with weights.

Legend: U persons, P products, L leaf categories.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from services.trainer.domain import Ints
from services.trainer.learning.interactions import EventKind, Interactions
from services.trainer.learning.pairs import DAY_S
from services.trainer.ranker.snapshot import Snapshot
from shared.features.seeds import (
    BROWSE_HALF_LIFE_DAYS,
    BROWSE_WEIGHTS,
    CONTENT_SEEDS,
    INTEREST_HALF_LIFE_DAYS,
    LEAST_BROWSE_WEIGHT,
    PURCHASE_HALF_LIFE_DAYS,
)

BROWSING = tuple(EventKind(kind) for kind in BROWSE_WEIGHTS)


def purchase_seeds(snapshot: Snapshot, users: Ints) -> Any:
    """Sparse `[U, P]`: 2^(-age / 112 days) of the latest purchase."""
    rows = snapshot.rows.of_kind(EventKind.PURCHASE)
    ages = (snapshot.cut_s - rows.times_s) / DAY_S
    return _largest(rows, 2.0 ** (-ages / PURCHASE_HALF_LIFE_DAYS))[users]


def browse_seeds(snapshot: Snapshot, users: Ints) -> Any:
    """Sparse `[U, P]`: the strongest of what was looked at, half-life one day."""
    rows = snapshot.rows.of_kind(*BROWSING)
    table = np.zeros(max(EventKind) + 1)
    for kind, weight in BROWSE_WEIGHTS.items():
        table[kind] = weight
    weights = table[rows.kinds] * 2.0 ** (-(snapshot.cut_s - rows.times_s) / DAY_S / BROWSE_HALF_LIFE_DAYS)
    lately = weights > LEAST_BROWSE_WEIGHT
    return _largest(rows.where(lately), weights[lately])[users]


def content_seeds(purchased: Any, browsed: Any) -> Any:
    """Sparse `[U, P]`: the eight strongest of what a mean text vector is made of."""
    strongest = keep_strongest((keep_strongest(purchased, CONTENT_SEEDS) + 2.0 * browsed).tocsr(), CONTENT_SEEDS)
    return strongest.astype(np.float32)


def leaf_interests(snapshot: Snapshot, users: Ints) -> Any:
    """Sparse `[U, L]`: sum of 2^(-age / 60 days) over purchases."""
    purchases, leaves = snapshot.purchases, snapshot.categories.leaf_indexes
    weights = 2.0 ** (-(snapshot.cut_s - purchases.times_s) / DAY_S / INTEREST_HALF_LIFE_DAYS)
    shape = (purchases.user_count, len(snapshot.categories.leaves))
    return sp.csr_matrix((weights, (purchases.users, leaves[purchases.products])), shape=shape)[users]


def keep_strongest(matrix: Any, count: int) -> Any:
    """The `count` largest entries of each row of a sparse matrix; of equals, the lower column."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, rows))
    places = np.arange(len(order)) - matrix.indptr[rows[order]]
    kept = order[places < count]
    return sp.csr_matrix((matrix.data[kept], (rows[kept], matrix.indices[kept])), shape=matrix.shape)


def _largest(rows: Interactions, weights: Any) -> Any:
    """Sparse users × products: the largest weight of each pair."""
    count = len(rows.product_ids)
    keys = rows.users.astype(np.int64) * count + rows.products
    order = np.lexsort((-weights, keys))
    pairs, first = np.unique(keys[order], return_index=True)
    entries = (weights[order][first], (pairs // count, pairs % count))
    return sp.csr_matrix(entries, shape=(rows.user_count, count))
