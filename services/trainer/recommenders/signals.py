"""What rows say about taste: weights by type of event, decay by age, users × products matrices, popularity.

Legend: N rows, U users, P products.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from services.trainer.domain import Floats, Ints
from services.trainer.learning.interactions import EventKind, Interactions
from services.trainer.learning.pairs import DAY_S, Doubles
from services.trainer.recommenders.errors import InsufficientData

KIND_WEIGHTS = {
    EventKind.PRODUCT_VIEW: 0.1,
    EventKind.CLICK: 0.1,
    EventKind.ADD_TO_WISH_LIST: 0.3,
    EventKind.ADD_TO_CART: 0.4,
    EventKind.RATE: 1.0,
    EventKind.PURCHASE: 1.0,
}
"""How much an event says of taste, in purchases; types that are absent (shown, taken out of the cart) say nothing."""

POPULARITY_DAYS = 56.0
TIE_SHARE = 1e-3
"""Popularity, scaled to at most this, orders what a model cannot tell apart; weights of real signals are larger."""


def signals(rows: Interactions, model: str) -> Interactions:
    """The rows that say something of taste. Raises InsufficientData when there are none."""
    kept = rows.of_kind(*KIND_WEIGHTS)
    if not len(kept):
        raise InsufficientData(model, "no views, clicks, carts, ratings or purchases of products")
    return kept


def weights_of(rows: Interactions) -> Doubles:
    """Weight of each row by its type `[N]`."""
    table = np.zeros(max(EventKind) + 1)
    for kind, weight in KIND_WEIGHTS.items():
        table[kind] = weight
    return np.asarray(table[rows.kinds], dtype=np.float64)


def decayed_weights(rows: Interactions, half_life_days: float, now_s: int | None = None) -> Doubles:
    """Weight of each row `[N]`: its type's × 2^(-age / half-life); ages count from `now_s` or the latest row."""
    ages = ((rows.end_time_s if now_s is None else now_s) - rows.times_s) / DAY_S
    return weights_of(rows) * 2.0 ** (-ages / half_life_days)


def counted(rows: Interactions, weights: Doubles) -> Any:
    """Sparse users × products `[U, P]`: the sum of a pair's weights."""
    return sp.csr_matrix((weights.astype(np.float32), (rows.users, rows.products)), shape=_shape(rows))


def strongest(rows: Interactions, weights: Doubles) -> Any:
    """Sparse users × products `[U, P]`: the largest of a pair's weights."""
    keys = rows.users.astype(np.int64) * len(rows.product_ids) + rows.products
    order = np.argsort(-weights, kind="stable")
    pairs, first = np.unique(keys[order], return_index=True)
    places = (pairs // len(rows.product_ids), pairs % len(rows.product_ids))
    return sp.csr_matrix((weights[order][first].astype(np.float32), places), shape=_shape(rows))


def popularity(rows: Interactions, window_days: float = POPULARITY_DAYS) -> Floats:
    """People who met a product within the window before the latest row `[P]`, each with the weight of their best event.

    Where the window holds no row of a product, the product has its share of older people, below any recent one.
    """
    ages = (rows.end_time_s - rows.times_s) / DAY_S
    recent = _people(rows.where(ages <= window_days))
    older = _people(rows)
    return np.asarray(recent + 1e-3 * older / max(float(older.max()), 1.0), dtype=np.float32)


def tie_breakers(rows: Interactions) -> Floats:
    """Popularity scaled to at most `TIE_SHARE` `[P]`."""
    popular = popularity(rows)
    return np.asarray(popular * (TIE_SHARE / popular.max()), dtype=np.float32)


def take_users(matrix: Any, users: Ints) -> Any:
    """Sparse rows of `users` `[len(users), P]`; users outside the matrix have empty rows."""
    known = (users >= 0) & (users < matrix.shape[0])
    picked = matrix[np.where(known, users, 0)]
    return sp.diags(known.astype(np.float32)) @ picked if not known.all() else picked


def for_strangers(scores: Floats, histories: Any, popular: Floats) -> Floats:
    """Gives users whose row of `histories` is empty the popular products; changes and returns `scores` `[U, P]`."""
    scores[np.diff(histories.tocsr().indptr) == 0] = popular
    return scores


def _people(rows: Interactions) -> Doubles:
    return np.asarray(strongest(rows, weights_of(rows)).sum(axis=0), dtype=np.float64).ravel()


def _shape(rows: Interactions) -> tuple[int, int]:
    return rows.user_count, len(rows.product_ids)
