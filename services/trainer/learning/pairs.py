"""What each person had bought up to a moment: one row a person and product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.trainer.domain import Longs, Purchases

DAY_S = 86_400
COUNT_HALF_LIFE_DAYS = 112.0

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Columns by pair, sorted by `keys`; ages in days before the moment."""

    keys: Longs
    """person × products + product"""
    users: Longs
    products: Longs
    last_days: Doubles
    decayed_counts: Doubles
    """Sum of 2^(-age / 112 days) over the purchases."""


def ages_days(purchases: Purchases) -> Doubles:
    """Age of each purchase in days; the latest has age 0."""
    return np.asarray((purchases.end_time_s - purchases.times_s) / DAY_S, dtype=np.float64)


def pair_keys(purchases: Purchases) -> Longs:
    """The pair of each purchase."""
    return purchases.users.astype(np.int64) * len(purchases.product_ids) + purchases.products


def pairs_before(purchases: Purchases, days_ago: float) -> Pairs:
    """All pairs bought before `days_ago` days before the latest purchase."""
    ages, keys = ages_days(purchases), pair_keys(purchases)
    if days_ago > 0.0:
        earlier = ages > days_ago
        ages, keys = ages[earlier] - days_ago, keys[earlier]
    order = np.lexsort((ages, keys))
    keys, ages = keys[order], ages[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.empty(0, np.int64)
    counts = np.add.reduceat(2.0 ** (-ages / COUNT_HALF_LIFE_DAYS), first) if len(first) else np.empty(0)
    products = len(purchases.product_ids)
    return Pairs(keys[first], keys[first] // products, keys[first] % products, ages[first], counts)
