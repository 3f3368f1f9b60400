"""Maximal marginal relevance (Carbonell & Goldstein 1998) over category and brand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.ranking.domain import Placement
from shared.features.columns import Candidates, Doubles, Longs
from shared.naming.category_path import parent_of

SAME_LEAF, SAME_PARENT, SAME_BRAND = 1.0, 0.4, 0.3
# Chosen where variety is the point; elsewhere the order is what people will most likely buy. docs/quality.md.
DEFAULTS = {
    Placement.HOME: 0.0,
    Placement.BUY_AGAIN: 0.0,
    Placement.DISCOVER: 0.0,
    Placement.PRODUCT_PAGE: 0.2,
    Placement.CART: 0.2,
}
# Only the head is spread: beyond it nobody looks.
CONSIDERED = 4


@dataclass(frozen=True, slots=True)
class _Likeness:
    """Numbers by which two candidates are alike, in columns `[C]`; -1 is like nothing."""

    leaves: Longs
    parents: Longs
    brands: Longs

    @classmethod
    def of(cls, candidates: Candidates) -> _Likeness:
        """Leaf, parent category and brand of each candidate."""
        parents = [parent_of(path) for path in candidates.category_names]
        return cls(
            _numbers(candidates.category_names, candidates.categories),
            _numbers(parents, candidates.categories),
            _numbers(candidates.brand_names, candidates.brands),
        )


def spread(scores: Doubles, order: Longs, candidates: Candidates, limit: int, diversity: float) -> Longs:
    """The best `limit` of `order`, spread. `order` holds positions by falling score; `diversity` 0 keeps it.

    Each step takes the candidate with the largest (1 - d) × relevance - d × similarity to the most similar one taken;
    relevance is the score scaled to 0..1 over the candidates considered.
    """
    count = min(len(order), limit)
    if diversity <= 0.0 or count < 2:
        return order[:count]
    considered = min(len(order), CONSIDERED * limit)
    head = scores[order[:considered]]
    width = head[0] - head[-1]
    relevance = (head - head[-1]) / width if width > 0.0 else np.ones(considered)
    likeness = _Likeness.of(candidates)
    leaf, parent, brand = (
        column[order[:considered]] for column in (likeness.leaves, likeness.parents, likeness.brands)
    )
    nearest, open_ = np.zeros(considered), np.ones(considered, dtype=np.bool_)
    taken = np.empty(count, np.int64)
    for place in range(count):
        gain = np.where(open_, (1.0 - diversity) * relevance - diversity * nearest, -np.inf)
        best = int(np.argmax(gain))
        taken[place], open_[best] = best, False
        same_leaf = (leaf == leaf[best]) & (leaf[best] >= 0)
        same_parent = (parent == parent[best]) & (parent[best] >= 0)
        same_brand = (brand == brand[best]) & (brand[best] >= 0)
        alike = np.where(same_leaf, SAME_LEAF, np.where(same_parent, SAME_PARENT, 0.0)) + SAME_BRAND * same_brand
        nearest = np.maximum(nearest, np.minimum(alike, 1.0))
    return order[taken]


def _numbers(names: Sequence[str], indexes: Longs) -> Longs:
    """One number for each distinct name, by candidate; -1 for an empty name."""
    numbers: dict[str, int] = {}
    by_name = [numbers.setdefault(name, len(numbers)) if name else -1 for name in names]
    return np.array(by_name, np.int64)[indexes] if by_name else np.empty(0, np.int64)
