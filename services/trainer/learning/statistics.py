"""Statistics of single items: buyers, popularity, trend, repeat interval, probability of a repeat."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from services.trainer.domain import Categories, ItemStatistics, Longs, Purchases
from services.trainer.learning.pairs import Doubles, ages_days, pair_keys, pairs_before

Weights = npt.NDArray[Any]

WINDOWS_DAYS = (7, 28, 56, 112)
POPULARITY_DAYS = 56
HORIZON_DAYS = 28.0
REPURCHASE_HALF_LIFE_DAYS = 168.0
# How many observations the prior of each level is worth: shop in category, category in leaf, leaf in product.
PARENT_PRIOR, LEAF_PRIOR, ITEM_PRIOR = 50.0, 30.0, 10.0
INTERVAL_PRIOR = 5.0
# Added to both sides of the trend's ratio: an item sold twice instead of once is not a trend.
TREND_SMOOTHING = 3.0


def item_statistics(purchases: Purchases, categories: Categories) -> ItemStatistics:
    """Computes all statistics; the latest purchase counts as now."""
    count = len(purchases.product_ids)
    pairs = pairs_before(purchases, 0.0)
    buyers = {
        days: np.bincount(pairs.products[pairs.last_days <= days], minlength=count).astype(np.int64)
        for days in WINDOWS_DAYS
    }
    active = len(np.unique(pairs.users[pairs.last_days <= POPULARITY_DAYS]))
    trends = (buyers[28] + TREND_SMOOTHING) / (buyers[112] / 2.0 + TREND_SMOOTHING)
    keys, gaps, newer = _gaps(purchases)
    return ItemStatistics(
        buyers=buyers,
        popularities=(buyers[POPULARITY_DAYS] / max(active, 1)).astype(np.float32),
        trends=trends.astype(np.float32),
        repeat_interval_days=_intervals(keys % count, gaps, newer, categories).astype(np.float32),
        repurchase_probabilities=_repurchases(purchases, categories, (keys, gaps)).astype(np.float32),
        purchase_counts=np.bincount(purchases.products, minlength=count).astype(np.int64),
    )


def _gaps(purchases: Purchases) -> tuple[Longs, Doubles, npt.NDArray[np.bool_]]:
    """By purchase, sorted by pair, from new to old: the pair, days to the next newer one (infinite: none), if any."""
    keys, ages = pair_keys(purchases), ages_days(purchases)
    order = np.lexsort((ages, keys))
    keys, ages = keys[order], ages[order]
    newer = np.concatenate([[False], keys[1:] == keys[:-1]])
    gaps = np.where(newer, ages - np.concatenate([[0.0], ages[:-1]]), np.inf)
    return keys, gaps, newer


def _intervals(products: Longs, gaps: Doubles, newer: npt.NDArray[np.bool_], categories: Categories) -> Doubles:
    """Geometric mean of the gaps `[P]`, shrunk to the leaf's and the shop's; gaps below a day count as one."""
    logs, owners = np.log(np.maximum(gaps[newer], 1.0)), products[newer]
    shop = float(logs.mean()) if len(logs) else np.log(HORIZON_DAYS)
    leaves = categories.leaf_indexes[owners]
    leaf_mean = _shrunk(leaves, logs, np.ones(len(logs)), np.full(len(categories.leaves), shop), INTERVAL_PRIOR)
    prior = leaf_mean[categories.leaf_indexes]
    return np.asarray(np.exp(_shrunk(owners, logs, np.ones(len(logs)), prior, INTERVAL_PRIOR)), dtype=np.float64)


def _repurchases(purchases: Purchases, categories: Categories, gaps: tuple[Longs, Doubles]) -> Doubles:
    """P(bought again by the same person within 28 days) `[P]`, from older purchases, recent ones weighing more."""
    keys, days = gaps
    count = len(purchases.product_ids)
    order = np.lexsort((ages_days(purchases), pair_keys(purchases)))
    ages = ages_days(purchases)[order]
    weights = np.where(ages > HORIZON_DAYS, 2.0 ** (-ages / REPURCHASE_HALF_LIFE_DAYS), 0.0)
    hits: Doubles = np.where(days <= HORIZON_DAYS, weights, 0.0)
    products = keys % count
    leaves = categories.leaf_indexes[products]
    parents = categories.parents[leaves]
    shop = float(hits.sum() + 0.1) / float(weights.sum() + 1.0)
    by_parent = _shrunk(parents, hits, weights, np.full(int(categories.parents.max()) + 1, shop), PARENT_PRIOR)
    by_leaf = _shrunk(leaves, hits, weights, by_parent[categories.parents], LEAF_PRIOR)
    by_item = _shrunk(products, hits, weights, by_leaf[categories.leaf_indexes], ITEM_PRIOR)
    return np.clip(by_item, 1e-4, 1.0 - 1e-4)


def _shrunk(
    groups: npt.NDArray[np.int64] | npt.NDArray[np.int32],
    sums: Doubles,
    weights: Doubles,
    prior: Doubles,
    strength: float,
) -> Doubles:
    """Means by group, pulled towards `prior` `[G]` with the given number of observations."""
    top = np.bincount(groups, sums, minlength=len(prior)) + strength * prior
    return np.asarray(top / (np.bincount(groups, weights, minlength=len(prior)) + strength), dtype=np.float64)
