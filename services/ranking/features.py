"""Features of candidates: named pure functions over columns. Natural logarithms, no further normalisation.

The formulas, why these and no others, and what each is worth: docs/quality.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.ranking.domain import Candidates, Doubles, History, Longs, Mask, Statistics
from services.ranking.person import DAY_S, Person

# Keep logarithms finite; each is far below what a single real observation adds.
COUNT_FLOOR, NEIGHBOUR_FLOOR, BASKET_FLOOR, LEAF_PRIOR, TREND_PRIOR = 0.02, 0.01, 0.5, 0.3, 3.0
DEFAULT_INTERVAL_DAYS, DEFAULT_REPURCHASE, DEFAULT_RENEWAL = 30.0, 0.1, 0.05
BROWSE_HALF_LIFE_DAYS, NEW_DAYS = 0.5, 30.0


@dataclass(frozen=True, slots=True)
class Columns:
    """Candidates joined with the release and the person: what the functions below read `[C]`."""

    candidates: Candidates
    statistics: Statistics | None
    person: Person | None
    items: Longs
    """Position in the release; -1: not in it."""
    own: Longs
    """Position among the products bought; -1: not bought."""
    now_s: float

    @property
    def known(self) -> Mask:
        """Whether the person bought it before."""
        return self.own >= 0

    def statistic(self, name: str, default: float) -> Doubles:
        """A column of the release; `default` for products that are not in it."""
        if self.statistics is None:
            return np.full(len(self.items), default)
        column: Doubles = getattr(self.statistics, name)
        return (
            np.where(self.items >= 0, column[np.maximum(self.items, 0)], default)
            if len(column)
            else np.full(len(self.items), default)
        )

    def own_column(self, column: Doubles, default: float) -> Doubles:
        """A column of the person; `default` for products not bought."""
        return np.where(self.own >= 0, column[np.maximum(self.own, 0)], default)


def join(candidates: Candidates, statistics: Statistics | None, person: Person | None, now_s: float) -> Columns:
    """Looks up every candidate once."""
    count = len(candidates.product_ids)
    items, own = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    if statistics is not None:
        items = np.fromiter((statistics.positions.get(p, -1) for p in candidates.product_ids), np.int64, count)
    if person is not None:
        own = np.fromiter((person.positions.get(p, -1) for p in candidates.product_ids), np.int64, count)
    return Columns(candidates, statistics, person, items, own, now_s)


def own_baskets(columns: Columns) -> Doubles:
    """How often, in the person's own baskets lately: ln(sum of 2^(-baskets since / 25) + .02)."""
    assert columns.person is not None
    return np.asarray(np.log(columns.own_column(columns.person.by_basket, 0.0) + COUNT_FLOOR))


def renewal(columns: Columns) -> Doubles:
    """Whether it is time again: logit of the renewal table at (decayed count, days since the last purchase)."""
    assert columns.person is not None
    if columns.statistics is None or not columns.statistics.renewal.size:
        return np.full(len(columns.own), _logit(np.array(DEFAULT_RENEWAL)))
    statistics = columns.statistics
    rows = np.searchsorted(statistics.renewal_count_edges, columns.own_column(columns.person.decayed, 0.0))
    cells = np.searchsorted(statistics.renewal_day_edges, columns.own_column(columns.person.last_days, 1e4))
    return _logit(statistics.renewal[rows, cells])


def repurchase(columns: Columns) -> Doubles:
    """How repeatable the product is for everybody: logit of its 28-day repurchase probability."""
    return _logit(columns.statistic("repurchase_probabilities", DEFAULT_REPURCHASE))


def momentum_7(columns: Columns) -> Doubles:
    """What sells this week: ln((buyers of 7 days + 1) / (buyers of 112 days + 1))."""
    return np.asarray(np.log((columns.statistic("buyers_7d", 0) + 1) / (columns.statistic("buyers_112d", 0) + 1)))


def popularity_112(columns: Columns) -> Doubles:
    """ln((buyers of 112 days + 1) / people)."""
    return np.asarray(np.log((columns.statistic("buyers_112d", 0) + 1) / _people(columns)))


def popularity_56(columns: Columns) -> Doubles:
    """ln((buyers of 56 days + 1) / people)."""
    return np.asarray(np.log((columns.statistic("buyers_56d", 0) + 1) / _people(columns)))


def activity(columns: Columns) -> Doubles:
    """How busy the person is: ln(baskets of 28 days + .5); equal for all candidates."""
    baskets = columns.person.baskets_28d if columns.person is not None else 0
    return np.full(len(columns.own), np.log(baskets + BASKET_FLOOR))


def neighbours(columns: Columns) -> Doubles:
    """Bought by people with the same purchases: ln(max(0, sum of neighbour weights) + .01)."""
    return np.asarray(np.log(np.maximum(columns.candidates.neighbour_scores, 0.0) + NEIGHBOUR_FLOOR))


def leaf_demand(columns: Columns) -> Doubles:
    """The person's share of its leaf category, handed down to the product by its share of the leaf's buyers."""
    buyers = columns.statistic("buyers_56d", 0) + 0.5
    if columns.statistics is None or columns.statistics.leaf_total <= 0.0:
        return np.full(len(buyers), float(np.log(LEAF_PRIOR * 1e-3)))
    sizes, total = columns.statistics.leaf_sizes, columns.statistics.leaf_total
    names, leaves = columns.candidates.category_names, columns.candidates.categories
    size = np.array([sizes.get(name, 0.5) for name in names])[leaves]
    share = np.zeros(len(leaves))
    if columns.person is not None and columns.person.interest_total > 0.0:
        interests = columns.person.interests
        share = np.array([interests.get(name, 0.0) for name in names])[leaves] / columns.person.interest_total
    return np.asarray(np.log((share + LEAF_PRIOR * size / total) * buyers / np.maximum(size, buyers)))


def interval(columns: Columns) -> Doubles:
    """ln(days between purchases of it by one person): what is bought often is bought already."""
    return np.asarray(np.log(np.maximum(columns.statistic("repeat_interval_days", DEFAULT_INTERVAL_DAYS), 1.0)))


def trend(columns: Columns) -> Doubles:
    """ln((buyers of 28 days + 3) / (half the buyers of 112 days + 3))."""
    half = columns.statistic("buyers_112d", 0) / 2.0
    return np.asarray(np.log((columns.statistic("buyers_28d", 0) + TREND_PRIOR) / (half + TREND_PRIOR)))


def cold_content(columns: Columns) -> Doubles:
    """Cosine to what the person liked lately, for products that nobody bought yet; 0 for others."""
    return np.where(columns.items < 0, np.maximum(columns.candidates.content_scores, 0.0), 0.0)


def freshness(columns: Columns) -> Doubles:
    """1 for a product that nobody bought yet and that came into the shop within 30 days, falling to 0; 0 for others."""
    ages = (columns.now_s - columns.candidates.publish_times_s) / DAY_S
    fresh = np.clip(1.0 - ages / NEW_DAYS, 0.0, 1.0)
    return np.where((columns.items < 0) & (columns.candidates.publish_times_s > 0), fresh, 0.0)


def browsed(columns: Columns, history: History) -> Doubles:
    """2^(-half days since the person last viewed, clicked or carted it); 0: not lately, or bought since."""
    seen = history.browsed or {}
    if not seen:
        return np.zeros(len(columns.own))
    times = np.fromiter((seen.get(p, 0.0) for p in columns.candidates.product_ids), np.float64, len(columns.own))
    ages = np.maximum(columns.now_s - times, 0.0) / DAY_S
    value = np.where(times > 0.0, 2.0 ** (-ages / BROWSE_HALF_LIFE_DAYS), 0.0)
    if columns.person is None:
        return value
    return np.where(columns.own_column(columns.person.last_days, np.inf) <= ages, 0.0, value)


def query(columns: Columns) -> Doubles:
    """Relevance to the query, from 0 to 1; 0 without a query."""
    scores = columns.candidates.query_scores
    return np.zeros(len(columns.own)) if scores is None else scores


def _people(columns: Columns) -> int:
    return max(columns.statistics.user_count, 1) if columns.statistics is not None else 1


def _logit(probability: Doubles) -> Doubles:
    clipped = np.clip(probability, 1e-4, 1.0 - 1e-4)
    return np.asarray(np.log(clipped / (1.0 - clipped)))
