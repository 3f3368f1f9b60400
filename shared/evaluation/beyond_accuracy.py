"""What accuracy does not see: how much of the catalogue is shown, how surprising, varied and fitting the lists are.

Lists are rows of product numbers, best first, padded with -1. A user with an empty list gets nan in measures of lists
(there is nothing to judge); take means with `np.nanmean`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.evaluation.arrays import NOTHING, Doubles, Longs, Mask

SMOOTHING = 0.01
"""Share of the reference mixed into a list's category shares, so that the divergence stays finite (Steck 2018)."""


def coverage(lists_UK: npt.ArrayLike, item_count: int) -> float:
    """Catalogue coverage: products that stand in at least one list / all products.

    >>> coverage([[0, 1], [1, -1]], 4)
    0.5
    """
    shown = np.unique(_listed(lists_UK))
    return float((shown != NOTHING).sum() / item_count)


def gini(lists_UK: npt.ArrayLike, item_count: int) -> float:
    """Gini index of exposures by product: 0 when all are shown equally often, near 1 when a few take all.

    >>> gini([[0, 1], [2, 3]], 4), gini([[0], [0]], 4)
    (0.0, 0.75)
    """
    listed = _listed(lists_UK)
    shown_P = np.sort(np.bincount(listed[listed != NOTHING], minlength=item_count)).astype(np.float64)
    if not shown_P.any():
        return float("nan")
    ranks = np.arange(1, item_count + 1)
    return float((2 * ranks - item_count - 1) @ shown_P / (item_count * shown_P.sum()))


def self_information(owners_P: npt.ArrayLike, user_count: int) -> Doubles:
    """Surprise of each product in bits `[P]`: -log2(users who had it / users). Half a user where nobody had it.

    >>> self_information([4, 1, 0], 4).tolist()
    [0.0, 2.0, 3.0]
    """
    owners = np.maximum(np.asarray(owners_P, np.float64), 0.5)
    return np.asarray(-np.log2(owners / user_count) + 0.0, np.float64)


def novelty(lists_UK: npt.ArrayLike, bits_P: npt.ArrayLike) -> Doubles:
    """Mean self-information of the listed products in bits, by user `[U]` (Zhou et al. 2010).

    >>> novelty([[0, 1], [2, -1]], [0.0, 2.0, 3.0]).tolist()
    [1.0, 3.0]
    """
    return _mean_of(bits_P, _listed(lists_UK))


def popularity_lift(lists_UK: npt.ArrayLike, history_UH: npt.ArrayLike, popularity_P: npt.ArrayLike) -> Doubles:
    """By user `[U]`: mean popularity of the list / mean popularity of the user's history, less 1 (Abdollahpouri 2020).

    0: the list is as mainstream as the user; 1: twice as popular. nan without a history.

    >>> popularity_lift([[0, 0]], [[0, 1]], [30.0, 10.0]).tolist()
    [0.5]
    """
    listed = _mean_of(popularity_P, _listed(lists_UK))
    own = _mean_of(popularity_P, _listed(history_UH))
    return np.divide(listed, own, out=np.full(len(listed), np.nan), where=own > 0) - 1.0


def category_diversity(lists_UK: npt.ArrayLike, categories_P: npt.ArrayLike) -> Doubles:
    """Intra-list diversity over categories: share of pairs that differ, by user `[U]`. nan below two products.

    1 - sum over categories of n_c (n_c - 1) / (n (n - 1)): Simpson's index.

    >>> category_diversity([[0, 1, 2]], [7, 7, 8]).round(4).tolist()
    [0.6667]
    """
    listed = _listed(lists_UK)
    counts_UC = category_counts(listed, np.asarray(categories_P, np.int64))
    size = counts_UC.sum(axis=1)
    same = (counts_UC * (counts_UC - 1)).sum(axis=1)
    return 1.0 - np.divide(same, size * (size - 1), out=np.full(len(size), np.nan), where=size > 1)


def vector_diversity(lists_UK: npt.ArrayLike, vectors_PD: npt.ArrayLike) -> Doubles:
    """Intra-list diversity: mean of 1 - cosine over the pairs of a list, by user `[U]` (Ziegler et al. 2005).

    Products with a zero vector are at distance 1 from all. nan below two products.

    >>> vector_diversity([[0, 1], [0, 2]], [[1, 0], [0, 1], [2, 0]]).tolist()
    [1.0, 0.0]
    """
    listed = _listed(lists_UK)
    vectors = np.asarray(vectors_PD, np.float64)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    there = listed != NOTHING
    units_UKD = units[np.where(there, listed, 0)] * there[:, :, None]
    # All cosines of a list sum to |sum of units|²; the pairs of a product with itself are taken off.
    total_U = (units_UKD.sum(axis=1) ** 2).sum(axis=1) - (units_UKD**2).sum(axis=(1, 2))
    size = there.sum(axis=1).astype(np.float64)
    return 1.0 - np.divide(total_U, size * (size - 1), out=np.full(len(size), np.nan), where=size > 1)


def category_counts(listed_UK: Longs, categories_P: Longs, category_count: int | None = None) -> Doubles:
    """Listed products by user and category `[U, C]`; places that hold -1 do not count."""
    width = category_count or int(categories_P.max(initial=-1)) + 1
    there = listed_UK != NOTHING
    users = np.repeat(np.arange(len(listed_UK)), there.sum(axis=1))
    keys = users * width + categories_P[listed_UK[there]]
    return np.bincount(keys, minlength=len(listed_UK) * width).reshape(len(listed_UK), width).astype(np.float64)


def miscalibration(lists_UK: npt.ArrayLike, history_UC: npt.ArrayLike, categories_P: npt.ArrayLike) -> Doubles:
    """Kullback-Leibler divergence in bits from the user's category shares to the list's, by user `[U]` (Steck 2018).

    sum over c of p(c) log2(p(c) / q'(c)) with q' = (1 - a) q + a p, a = 0.01; p from counts of the user's history
    `[U, C]`, q from the list. 0: the list has the user's mix. nan without a history or a list.

    >>> miscalibration([[0, 1]], [[5, 5]], [0, 1]).tolist()
    [0.0]
    """
    listed = _listed(lists_UK)
    history = np.asarray(history_UC, np.float64)
    shown = category_counts(listed, np.asarray(categories_P, np.int64), history.shape[1])
    p_UC, q_UC = _shares(history), _shares(shown)
    mixed = (1.0 - SMOOTHING) * q_UC + SMOOTHING * p_UC
    ratio = np.divide(p_UC, mixed, out=np.ones_like(p_UC), where=p_UC > 0)
    return np.asarray((p_UC * np.log2(ratio)).sum(axis=1), np.float64)


def _shares(counts_UC: Doubles) -> Doubles:
    total = counts_UC.sum(axis=1, keepdims=True)
    return np.divide(counts_UC, total, out=np.full_like(counts_UC, np.nan), where=total > 0)


def _mean_of(values_P: npt.ArrayLike, listed_UK: Longs) -> Doubles:
    there: Mask = listed_UK != NOTHING
    values = np.asarray(values_P, np.float64)[np.where(there, listed_UK, 0)]
    size = there.sum(axis=1).astype(np.float64)
    return np.divide((values * there).sum(axis=1), size, out=np.full(len(size), np.nan), where=size > 0)


def _listed(lists_UK: npt.ArrayLike) -> Longs:
    listed = np.asarray(lists_UK, np.int64)
    if listed.ndim != 2:
        raise ValueError(f"lists has {listed.ndim} dimensions: must be [U, K]")
    return listed
