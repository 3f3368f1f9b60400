"""What the user bought before, and when it is due again.

The score of a product the user had is a rate: decayed count × timing × repeat. *Timing* is learned from the log: how
much more often products are bought again when the time since the last purchase is a given part of the usual interval
(compare Bhagat et al. 2018, "Buy It Again"). *Repeat* is the product's own inclination to be bought again. Both are
ratios of what happened to what decayed counts alone would foretell, pulled towards the overall rate.

Legend: N rows, R pairs of a user and a product, P products.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from services.trainer.domain import Floats, Ints, Longs
from services.trainer.learning.interactions import Interactions, ItemContent
from services.trainer.learning.pairs import DAY_S, Doubles
from services.trainer.recommenders.interface import Report
from services.trainer.recommenders.signals import (
    decayed_weights,
    for_strangers,
    popularity,
    signals,
    take_users,
    tie_breakers,
)

RATIO_EDGES = np.array([0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.1, 1.4, 1.8, 2.4, 3.2, 4.5, 7.0])
"""Upper edges of time since the last purchase / usual interval."""
INTERVAL_PRIOR = 5.0
"""Gaps that the shop's interval is worth beside a product's own."""
OWN_INTERVAL_PRIOR = 2.0
"""Gaps that the product's interval is worth beside the user's own."""


@dataclass(frozen=True, kw_only=True)
class OwnConfig:
    """Decay and, if wanted, timing."""

    half_life_days: float | None = 168.0
    """None: every purchase counts alike."""
    timed: bool = True
    horizon_days: float = 28.0
    """Again means within this time."""
    windows: int = 3
    """Periods of one horizon before the latest row from which timing is learned."""
    timing_prior: float = 50.0
    """Expected repeats that the overall rate is worth beside those of a range of timing."""
    repeat_prior: float = 50.0
    """The same beside those of a product."""


@dataclass(frozen=True, slots=True)
class OwnPairs:
    """Columns by pair `[R]`; times in days before the moment."""

    users: Longs
    products: Longs
    counts: Doubles
    """Decayed."""
    ratios: Doubles
    """Time since the last purchase / usual interval."""


class Own:
    """Scores are rates of buying again; products the user never had are ordered by popularity below them."""

    def __init__(self, config: OwnConfig) -> None:
        self.name = "own-timed" if config.timed else "own" if config.half_life_days is None else "own-decayed"
        self._config = config
        self._rows: Interactions | None = None
        self._timing: Doubles = np.ones(len(RATIO_EDGES) + 1)
        self._repeat: Doubles = np.empty(0)
        self._popular: Floats = np.empty(0, np.float32)
        self._ties: Floats = np.empty(0, np.float32)

    def fit(self, rows: Interactions, content: ItemContent | None, report: Report) -> None:
        kept = signals(rows, self.name)
        self._rows = kept
        self._popular, self._ties = popularity(kept), tie_breakers(kept)
        self._timing, self._repeat = np.ones(len(RATIO_EDGES) + 1), np.ones(len(kept.product_ids))
        if self._config.timed:
            self._learn_timing(kept)
        report(self.name, 1, 1)

    def scores(self, users: Ints, now_s: int) -> Floats:
        history = take_users(self.rates(now_s), users)
        found = np.asarray(history.todense(), dtype=np.float32) + TIE_SCALE * self._ties
        return for_strangers(found, history, self._popular)

    def rates(self, now_s: int) -> Any:
        """Rates of all pairs at a moment, sparse `[U, P]`."""
        if self._rows is None:
            raise RuntimeError("fit comes before scores")
        pairs = own_pairs(self._rows, now_s, self._config.half_life_days)
        values = pairs.counts * self._timing[np.searchsorted(RATIO_EDGES, pairs.ratios)] * self._repeat[pairs.products]
        shape = (self._rows.user_count, len(self._rows.product_ids))
        return sp.csr_matrix((values.astype(np.float32), (pairs.users, pairs.products)), shape=shape)

    def _learn_timing(self, rows: Interactions) -> None:
        horizon_s = round(self._config.horizon_days * DAY_S)
        cells, products, counts, again = [], [], [], []
        for window in range(1, self._config.windows + 1):
            cut_s = rows.end_time_s + 1 - window * horizon_s
            before = rows.before(cut_s)
            if not len(before):
                break
            pairs = own_pairs(before, cut_s, self._config.half_life_days)
            later = rows.between(cut_s, cut_s + horizon_s)
            keys = later.users.astype(np.int64) * len(rows.product_ids) + later.products
            cells.append(np.searchsorted(RATIO_EDGES, pairs.ratios))
            products.append(pairs.products)
            counts.append(pairs.counts)
            again.append(np.isin(pairs.users * len(rows.product_ids) + pairs.products, keys))
        if not cells:
            return
        cell, product, count, bought = (np.concatenate(columns) for columns in (cells, products, counts, again))
        rate = bought.sum() / max(count.sum(), 1e-9)
        prior = self._config.timing_prior
        expected = np.bincount(cell, rate * count, minlength=len(self._timing))
        self._timing = (np.bincount(cell, bought, minlength=len(self._timing)) + prior) / (expected + prior)
        prior = self._config.repeat_prior
        expected = np.bincount(product, rate * count * self._timing[cell], minlength=len(self._repeat))
        self._repeat = (np.bincount(product, bought, minlength=len(self._repeat)) + prior) / (expected + prior)


TIE_SCALE = 0.1
"""Rates are decayed counts times factors that may be far below 1."""


def own_pairs(rows: Interactions, now_s: int, half_life_days: float | None) -> OwnPairs:
    """Pairs of rows that lie before `now_s`, with their usual intervals: the user's, the product's, the shop's."""
    count = len(rows.product_ids)
    keys = rows.users.astype(np.int64) * count + rows.products
    order = np.lexsort((rows.times_s, keys))
    pairs, starts, numbers = np.unique(keys[order], return_index=True, return_counts=True)
    times = rows.times_s[order] / DAY_S
    weights = decayed_weights(rows, np.inf if half_life_days is None else half_life_days, now_s)[order]
    first, last = times[starts], times[starts + numbers - 1]
    gaps = numbers - 1.0
    logs = np.log(np.maximum((last - first) / np.maximum(gaps, 1.0), 1.0))
    products = pairs % count
    shop = float((logs * gaps).sum() / gaps.sum()) if gaps.any() else np.log(28.0)
    sums = np.bincount(products, logs * gaps, minlength=count) + INTERVAL_PRIOR * shop
    usual = sums / (np.bincount(products, gaps, minlength=count) + INTERVAL_PRIOR)
    interval = np.exp((logs * gaps + OWN_INTERVAL_PRIOR * usual[products]) / (gaps + OWN_INTERVAL_PRIOR))
    ratios = np.maximum(now_s / DAY_S - last, 0.0) / interval
    return OwnPairs(pairs // count, products, np.add.reduceat(weights, starts), ratios)
