"""Candidates joined with the release and the person: what the formulas read.

Rows are the candidates of one request where features are served, and those of many requests side by side where a
model learns: the formulas cannot tell the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shared.features.columns import Candidates, Doubles, History, Longs, Mask, Statistics
from shared.features.people import Bought, People, people_at


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns by candidate `[C]`, and what their numbers point to."""

    candidates: Candidates
    statistics: Statistics | None
    people: People
    persons: Longs
    """Number of the person; candidates of one person stand together."""
    items: Longs
    """Position in the release; -1: not in it."""
    own: Longs
    """Position among the pairs of person and product; -1: not bought."""
    own_leaves: Longs
    """Position among the pairs of person and leaf; -1: nothing bought of it."""
    leaf_sizes: Doubles
    """Demand for the candidate's leaf, as in `Statistics.leaf_sizes`."""
    browsed_s: Doubles
    """Seconds since 1970 of the latest view, click or cart; 0: none."""
    now_s: float

    @property
    def known(self) -> Mask:
        """Whether the person bought it before."""
        return self.own >= 0

    def statistic(self, name: str, default: float) -> Doubles:
        """A column of the release; `default` for products that are not in it."""
        if self.statistics is None:
            return np.full(len(self.items), default)
        return pick(getattr(self.statistics, name), self.items, default)

    def pair(self, name: str, default: float) -> Doubles:
        """A column of `people.pairs`; `default` for products not bought."""
        return pick(getattr(self.people.pairs, name), self.own, default)

    def leaf(self, name: str, default: float) -> Doubles:
        """A column of `people.leaves`; `default` where nothing of the leaf was bought."""
        return pick(getattr(self.people.leaves, name), self.own_leaves, default)

    def total(self, name: str) -> Doubles:
        """A column of `people.totals`."""
        column: Doubles = getattr(self.people.totals, name)
        return column[self.persons]


# Demand for a leaf of which the release knows nothing.
LEAST_LEAF_SIZE = 0.5


def join(candidates: Candidates, statistics: Statistics | None, history: History, now_s: float) -> Columns:
    """Sums the person up and looks up every candidate once: the columns of one request."""
    ids, names, count = candidates.product_ids, candidates.category_names, len(candidates.product_ids)
    people = people_at(Bought.of(history), now_s)
    own = positions(ids, {name: place for place, name in enumerate(history.product_ids)})
    leaf_numbers = {name: place for place, name in enumerate(history.category_names)}
    own_leaves = positions(names, leaf_numbers)[candidates.categories] if names else np.full(count, -1, np.int64)
    sizes = statistics.leaf_sizes if statistics is not None else {}
    seen = history.browsed or {}
    return Columns(
        candidates=candidates,
        statistics=statistics,
        people=people,
        persons=np.zeros(count, np.int64),
        items=positions(ids, statistics.positions if statistics is not None else {}),
        own=where_counted(own, people.pairs.counts),
        own_leaves=where_counted(own_leaves, people.leaves.counts),
        leaf_sizes=np.array([sizes.get(name, LEAST_LEAF_SIZE) for name in names], np.float64)[candidates.categories],
        browsed_s=np.fromiter((seen.get(p, 0.0) for p in ids), np.float64, count) if seen else np.zeros(count),
        now_s=now_s,
    )


def positions(names: Sequence[str], known: Mapping[str, int]) -> Longs:
    """The position of each name; -1: none."""
    return np.fromiter((known.get(name, -1) for name in names), np.int64, len(names))


def where_counted(places: Longs, counts: Doubles) -> Longs:
    """Places whose count is not 0; -1 for others."""
    return np.where(pick(counts, places, 0.0) > 0.0, places, -1)


def pick(column: Doubles, places: Longs, default: float) -> Doubles:
    """Values at places; `default` where a place is -1."""
    if not len(column):
        return np.full(len(places), default)
    return np.where(places >= 0, column[np.maximum(places, 0)], default)
