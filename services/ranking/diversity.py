"""Maximal marginal relevance (Carbonell & Goldstein 1998) over category and brand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.ranking.domain import Doubles, Longs, Placement

SAME_LEAF, SAME_PARENT, SAME_BRAND = 1.0, 0.4, 0.3
SEPARATOR = " > "
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


def spread(scores: Doubles, categories: Sequence[str], brands: Sequence[str], limit: int, diversity: float) -> Longs:
    """Positions of the best `limit` in order. `scores` must be in descending order; `diversity` 0 keeps that order.

    Each step takes the candidate with the largest (1 - d) × relevance - d × similarity to the most similar one taken;
    relevance is the score scaled to 0..1 over the candidates considered.
    """
    count = min(len(scores), limit)
    if diversity <= 0.0 or count < 2:
        return np.arange(count)
    considered = min(len(scores), CONSIDERED * limit)
    head = scores[:considered]
    width = head[0] - head[-1]
    relevance = (head - head[-1]) / width if width > 0.0 else np.ones(considered)
    leaf = _codes(categories[:considered])
    parent = _codes([path.rpartition(SEPARATOR)[0] for path in categories[:considered]])
    brand = _codes(brands[:considered])
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
    return taken


def _codes(names: Sequence[str]) -> Longs:
    """Numbers for names; -1 for an empty one, which is like nothing."""
    numbers: dict[str, int] = {}
    return np.fromiter((numbers.setdefault(name, len(numbers)) if name else -1 for name in names), np.int64, len(names))
