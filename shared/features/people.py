"""What purchases say of one person, or of many side by side, at one moment.

Legend: U persons, K pairs of person and product, M pairs of person and leaf category, R purchases (rows).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.features.columns import Doubles, History, Longs, Mask

DAY_S = 86_400.0
COUNT_HALF_LIFE_DAYS, SHORT_HALF_LIFE_DAYS = 112.0, 28.0
BASKET_HALF_LIFE = 25.0
INTEREST_HALF_LIFE_DAYS = 60.0
ACTIVITY_DAYS = 28.0
NEVER_DAYS = 1e4


@dataclass(frozen=True, slots=True)
class Bought:
    """Purchases in columns. A dictionary entry without a row before the moment counts as not bought."""

    count: int
    """Persons."""
    pair_persons: Longs
    """`[K]`"""
    pair_leaves: Longs
    """Position in `leaf_persons` `[K]`."""
    leaf_persons: Longs
    """`[M]`"""
    pairs: Longs
    """`[R]`"""
    baskets: Longs
    """Number of the basket, growing with time for each person `[R]`."""
    times_s: Longs
    """`[R]`"""

    @classmethod
    def of(cls, history: History) -> Bought:
        """One person."""
        return cls(
            count=1,
            pair_persons=np.zeros(len(history.product_ids), np.int64),
            pair_leaves=history.categories,
            leaf_persons=np.zeros(len(history.category_names), np.int64),
            pairs=history.product_indexes,
            baskets=history.baskets,
            times_s=history.times_s,
        )


@dataclass(frozen=True, slots=True)
class Pairs:
    """What is known of a person and a product bought `[K]`; 0 purchases: not bought before the moment."""

    counts: Doubles
    """Purchases."""
    last_days: Doubles
    """Days since the latest purchase."""
    span_days: Doubles
    """Days between the first and the latest purchase."""
    decayed: Doubles
    """Sum of 2^(-age / 112 days)."""
    decayed_short: Doubles
    """Sum of 2^(-age / 28 days)."""
    by_basket: Doubles
    """Sum of 2^(-baskets since / 25)."""
    baskets_since_last: Doubles
    baskets_since_first: Doubles


@dataclass(frozen=True, slots=True)
class Leaves:
    """What is known of a person and a leaf category `[M]`."""

    interests: Doubles
    """Sum of 2^(-age / 60 days)."""
    counts: Doubles
    """Purchases."""
    products: Doubles
    """Distinct products bought."""
    last_days: Doubles
    span_days: Doubles


@dataclass(frozen=True, slots=True)
class Totals:
    """What is known of a person `[U]`."""

    counts: Doubles
    """Purchases; 0: unknown."""
    interests: Doubles
    """Sum of 2^(-age / 60 days)."""
    baskets: Doubles
    baskets_28d: Doubles
    last_days: Doubles
    """Days since the latest purchase."""
    first_days: Doubles
    first_times_28d: Doubles
    """Products bought for the first time within 28 days."""
    counts_28d: Doubles


@dataclass(frozen=True, slots=True)
class People:
    """One person, or many."""

    pairs: Pairs
    leaves: Leaves
    totals: Totals

    @property
    def known(self) -> Mask:
        """Who bought anything before the moment `[U]`."""
        return self.totals.counts > 0.0


def people_at(bought: Bought, now_s: float) -> People:
    """Sums up purchases until `now_s`; later ones are left out, so that a past moment can be replayed."""
    past = bought.times_s <= now_s
    pairs, ages = bought.pairs[past], (now_s - bought.times_s[past]) / DAY_S
    persons = bought.pair_persons[pairs]
    ranks, owners, basket_ages = _baskets(persons, bought.baskets[past], ages)
    summed = _pairs(pairs, ages, ranks, len(bought.pair_persons))
    leaves = bought.pair_leaves[pairs]
    totals = _totals(bought, summed, (persons, ages), (owners, basket_ages))
    return People(summed, _leaves(bought, summed, leaves, ages), totals)


def _baskets(persons: Longs, baskets: Longs, ages: Doubles) -> tuple[Longs, Longs, Doubles]:
    """By row the baskets of the person since; by basket its person and its age."""
    width = int(baskets.max(initial=0)) + 1
    keys, first, numbers = np.unique(persons * width + baskets, return_index=True, return_inverse=True)
    owners = keys // width
    latest = np.searchsorted(owners, owners, side="right") - 1
    return (latest - np.arange(len(keys)))[numbers], owners, ages[first]


def _pairs(pairs: Longs, ages: Doubles, ranks: Longs, count: int) -> Pairs:
    last, first = _extremes(pairs, ages, count)
    since_last, since_first = _extremes(pairs, ranks.astype(np.float64), count)
    return Pairs(
        counts=np.bincount(pairs, minlength=count).astype(np.float64),
        last_days=last,
        span_days=first - last,
        decayed=_sums(pairs, 2.0 ** (-ages / COUNT_HALF_LIFE_DAYS), count),
        decayed_short=_sums(pairs, 2.0 ** (-ages / SHORT_HALF_LIFE_DAYS), count),
        by_basket=_sums(pairs, 2.0 ** (-ranks / BASKET_HALF_LIFE), count),
        baskets_since_last=since_last,
        baskets_since_first=since_first,
    )


def _leaves(bought: Bought, pairs: Pairs, leaves: Longs, ages: Doubles) -> Leaves:
    count = len(bought.leaf_persons)
    last, first = _extremes(leaves, ages, count)
    return Leaves(
        interests=_sums(leaves, 2.0 ** (-ages / INTEREST_HALF_LIFE_DAYS), count),
        counts=np.bincount(leaves, minlength=count).astype(np.float64),
        products=_sums(bought.pair_leaves, (pairs.counts > 0.0).astype(np.float64), count),
        last_days=last,
        span_days=first - last,
    )


def _totals(bought: Bought, pairs: Pairs, rows: tuple[Longs, Doubles], baskets: tuple[Longs, Doubles]) -> Totals:
    count, (persons, ages), (owners, basket_ages) = bought.count, rows, baskets
    last, first = _extremes(persons, ages, count)
    lately = (ages <= ACTIVITY_DAYS).astype(np.float64)
    began_lately = (pairs.counts > 0.0) & (pairs.last_days + pairs.span_days <= ACTIVITY_DAYS)
    return Totals(
        counts=np.bincount(persons, minlength=count).astype(np.float64),
        interests=_sums(persons, 2.0 ** (-ages / INTEREST_HALF_LIFE_DAYS), count),
        baskets=np.bincount(owners, minlength=count).astype(np.float64),
        baskets_28d=_sums(owners, (basket_ages <= ACTIVITY_DAYS).astype(np.float64), count),
        last_days=last,
        first_days=first,
        first_times_28d=_sums(bought.pair_persons, began_lately.astype(np.float64), count),
        counts_28d=_sums(persons, lately, count),
    )


def _sums(groups: Longs, values: Doubles, count: int) -> Doubles:
    return np.bincount(groups, values, minlength=count).astype(np.float64)


def _extremes(groups: Longs, values: Doubles, count: int) -> tuple[Doubles, Doubles]:
    """The smallest and the largest value of each group; both `NEVER_DAYS` for an empty one."""
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, groups, values)
    np.maximum.at(high, groups, values)
    empty = np.isinf(low)
    return np.where(empty, NEVER_DAYS, low), np.where(empty, NEVER_DAYS, high)
