"""Statistics of single items: popularity, trend, repeat interval."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from services.trainer.domain import ItemStatistics, Purchases

DAY_S = 86_400
POPULARITY_WINDOW_DAYS = 56
TREND_WINDOW_DAYS = 14
TREND_REFERENCE_DAYS = 56
# Added to both sides of the trend's ratio: an item sold twice instead of once is not a trend.
TREND_SMOOTHING = 5.0
LEAST_REPEATS = 3


def item_statistics(purchases: Purchases) -> ItemStatistics:
    """Computes all statistics; the latest purchase counts as now."""
    intervals, repeat_shares = _repeats(purchases)
    count = len(purchases.product_ids)
    pairs = np.unique(purchases.products.astype(np.int64) * purchases.user_count + purchases.users)
    return ItemStatistics(
        popularities=_popularities(purchases).astype(np.float32),
        trends=_trends(purchases).astype(np.float32),
        repeat_interval_days=intervals.astype(np.float32),
        repeat_shares=repeat_shares.astype(np.float32),
        purchase_counts=np.bincount(purchases.products, minlength=count).astype(np.int64),
        buyer_counts=np.bincount(pairs // purchases.user_count, minlength=count).astype(np.int64),
    )


def _ages_days(purchases: Purchases) -> npt.NDArray[np.float64]:
    return (purchases.end_time_s - purchases.times_s) / DAY_S


def _popularities(purchases: Purchases) -> npt.NDArray[np.float64]:
    """Share of the people active in the last 56 days who bought the item then `[P]`."""
    recent = _ages_days(purchases) < POPULARITY_WINDOW_DAYS
    keys = purchases.products[recent].astype(np.int64) * purchases.user_count + purchases.users[recent]
    buyers = np.bincount(np.unique(keys) // purchases.user_count, minlength=len(purchases.product_ids))
    active = len(np.unique(purchases.users[recent]))
    return np.asarray(buyers / max(active, 1), dtype=np.float64)


def _trends(purchases: Purchases) -> npt.NDArray[np.float64]:
    """Purchases of the last 14 days over those that the 56 days before let expect, smoothed `[P]`; 1 is steady."""
    ages, count = _ages_days(purchases), len(purchases.product_ids)
    latest = ages < TREND_WINDOW_DAYS
    before = ~latest & (ages < TREND_WINDOW_DAYS + TREND_REFERENCE_DAYS)
    now = np.bincount(purchases.products[latest], minlength=count)
    expected = np.bincount(purchases.products[before], minlength=count) * TREND_WINDOW_DAYS / TREND_REFERENCE_DAYS
    # The whole shop's rise or fall is not an item's trend.
    level = now.sum() / max(expected.sum(), 1.0)
    return np.asarray((now + TREND_SMOOTHING) / (expected * level + TREND_SMOOTHING), dtype=np.float64)


def _repeats(purchases: Purchases) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Median days between purchases by one person (0 below three repeats), share of buyers who came back `[P]`."""
    count = len(purchases.product_ids)
    order = np.lexsort((purchases.times_s, purchases.users, purchases.products))
    products, users, times = purchases.products[order], purchases.users[order], purchases.times_s[order]
    same = (products[1:] == products[:-1]) & (users[1:] == users[:-1])
    gaps, owners = (times[1:] - times[:-1])[same] / DAY_S, products[1:][same]
    repeated = gaps >= 1.0 / 24.0
    gaps, owners = gaps[repeated], owners[repeated]
    by_gap = np.lexsort((gaps, owners))
    gaps, owners = gaps[by_gap], owners[by_gap]
    repeats = np.bincount(owners, minlength=count)
    starts = np.concatenate([[0], np.cumsum(repeats)[:-1]])
    intervals = np.zeros(count)
    enough = repeats >= LEAST_REPEATS
    middle = starts[enough] + repeats[enough] // 2
    intervals[enough] = gaps[middle]
    pairs = products.astype(np.int64) * purchases.user_count + users
    distinct, times_bought = np.unique(pairs, return_counts=True)
    buyers = np.bincount(distinct // purchases.user_count, minlength=count)
    returned = np.bincount(distinct[times_bought > 1] // purchases.user_count, minlength=count)
    return intervals, returned / np.maximum(buyers, 1)
