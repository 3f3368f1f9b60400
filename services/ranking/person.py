"""What a person's history says, computed once a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from services.ranking.domain import Doubles, History

DAY_S = 86_400.0
COUNT_HALF_LIFE_DAYS = 112.0
BASKET_HALF_LIFE = 25.0
INTEREST_HALF_LIFE_DAYS = 60.0
ACTIVITY_DAYS = 28.0


@dataclass(frozen=True, slots=True)
class Person:
    """Columns by product bought `[K]`, and totals."""

    positions: Mapping[str, int]
    counts: Doubles
    """Purchases."""
    last_days: Doubles
    """Days since the latest purchase."""
    decayed: Doubles
    """Sum of 2^(-age / 112 days)."""
    by_basket: Doubles
    """Sum of 2^(-baskets since / 25)."""
    span_days: Doubles
    """Days between the first and the latest purchase."""
    interests: Mapping[str, float]
    """Sum of 2^(-age / 60 days) by leaf category."""
    interest_total: float
    baskets_28d: int


def person_of(history: History, now_s: float) -> Person | None:
    """None when nothing was bought. Purchases after `now_s` are left out, so that a past moment can be replayed."""
    past = history.times_s <= now_s
    if not past.any():
        return None
    rows = history.product_indexes[past]
    ages = (now_s - history.times_s[past]) / DAY_S
    _, numbers = np.unique(history.baskets[past], return_inverse=True)
    ranks = numbers.max() - numbers  # baskets are numbered oldest first
    kept, products = np.unique(rows, return_inverse=True)
    last, first = np.full(len(kept), np.inf), np.zeros(len(kept))
    np.minimum.at(last, products, ages)
    np.maximum.at(first, products, ages)
    interest = 2.0 ** (-ages / INTEREST_HALF_LIFE_DAYS)
    by_product = np.bincount(products, interest)
    by_category = np.bincount(history.categories[kept], by_product, minlength=len(history.category_names))
    return Person(
        positions={history.product_ids[place]: number for number, place in enumerate(kept.tolist())},
        counts=np.bincount(products).astype(np.float64),
        last_days=last,
        decayed=np.bincount(products, 2.0 ** (-ages / COUNT_HALF_LIFE_DAYS)).astype(np.float64),
        by_basket=np.bincount(products, 2.0 ** (-ranks / BASKET_HALF_LIFE)).astype(np.float64),
        span_days=first - last,
        interests=dict(zip(history.category_names, by_category.tolist(), strict=True)),
        interest_total=float(interest.sum()),
        baskets_28d=len(np.unique(numbers[ages <= ACTIVITY_DAYS])),
    )
