"""Accuracy of ranked lists. Full ranking: every product competes, no negatives are sampled.

Lists are rows of product numbers, best first, padded at the end with -1. Truth is what each user really chose.
Measures give one value a user, so that users can be sliced, compared in pairs and drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.evaluation.arrays import NOTHING, Doubles, Longs


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Relevant products of every user: those of user u are `items[starts[u]:starts[u + 1]]`, ascending, each once."""

    items: Longs
    starts: Longs
    """`[U + 1]`."""

    @classmethod
    def of_pairs(cls, users: npt.ArrayLike, items: npt.ArrayLike, user_count: int) -> Truth:
        """From pairs `[N]` in any order; repeats count once. Raises ValueError for a number out of range."""
        pairs = np.unique(np.stack([np.asarray(users, np.int64), np.asarray(items, np.int64)]), axis=1)
        if pairs.size and (pairs.min() < 0 or pairs[0].max() >= user_count):
            raise ValueError(f"users must be in 0..{user_count - 1} and items must be >= 0")
        starts = np.searchsorted(pairs[0], np.arange(user_count + 1)).astype(np.int64)
        return cls(items=np.ascontiguousarray(pairs[1]), starts=starts)

    @classmethod
    def of_lists(cls, lists: Sequence[npt.ArrayLike]) -> Truth:
        """From one array of product numbers a user."""
        arrays = [np.asarray(items, np.int64).ravel() for items in lists]
        users = np.repeat(np.arange(len(arrays)), [len(items) for items in arrays])
        return cls.of_pairs(users, np.concatenate([*arrays, np.empty(0, np.int64)]), len(arrays))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def counts(self) -> Longs:
        """Relevant products a user `[U]`."""
        return np.diff(self.starts)

    @property
    def users(self) -> Longs:
        """The user of each entry of `items` `[N]`."""
        return np.repeat(np.arange(len(self)), self.counts)


def top_k(scores_UP: npt.NDArray[np.floating[Any]], k: int) -> Longs:
    """The k products of highest score by user `[U, k]`, best first. Ties go to the smaller number.

    Products with score -inf (seen ones, say) are never listed; places left over hold -1. Raises ValueError for NaN.

    >>> top_k(np.array([[0.1, 0.7, 0.7, -np.inf]]), 4).tolist()
    [[1, 2, 0, -1]]
    """
    lists_UK = np.full((len(scores_UP), k), NOTHING, np.int64)
    for user, scores in enumerate(scores_UP):
        if np.isnan(scores).any():
            raise ValueError(f"scores[{user}, {int(np.isnan(scores).argmax())}] is nan: must be a number")
        least = np.partition(scores, -k)[-k] if k < len(scores) else -np.inf
        kept = np.flatnonzero((scores >= least) & (scores > -np.inf))
        best = kept[np.argsort(-scores[kept], kind="stable")][:k]
        lists_UK[user, : len(best)] = best
    return lists_UK


def padded(lists: Sequence[Sequence[int]], k: int) -> Longs:
    """The first k of each list as a matrix `[U, k]`.

    >>> padded([[4, 2, 9], []], 2).tolist()
    [[4, 2], [-1, -1]]
    """
    lists_UK = np.full((len(lists), k), NOTHING, np.int64)
    for user, items in enumerate(lists):
        head = list(items[:k])
        lists_UK[user, : len(head)] = head
    return lists_UK


def hits(lists_UK: npt.ArrayLike, truth: Truth) -> Doubles:
    """1 where the product at that place is relevant to the user, else 0 `[U, K]`.

    >>> hits([[4, 2], [3, -1]], Truth.of_lists([[2], [1, 3]])).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    listed_UK = np.asarray(lists_UK, np.int64)
    if listed_UK.ndim != 2 or len(listed_UK) != len(truth):
        raise ValueError(f"lists has shape {listed_UK.shape}: must be [{len(truth)}, K], one row a user of the truth")
    width = int(max(listed_UK.max(initial=0), truth.items.max(initial=0))) + 1
    wanted = truth.users * width + truth.items
    keys_UK = np.arange(len(truth))[:, None] * width + listed_UK
    found_UK: npt.NDArray[np.bool_] = np.isin(keys_UK, wanted) & (listed_UK != NOTHING)
    return found_UK.astype(np.float64)


def gains(lists_UK: npt.ArrayLike, truth: Truth, gains_N: npt.ArrayLike) -> Doubles:
    """The gain of the product at that place, 0 where it is not relevant `[U, K]`; `gains_N` as `truth.items`.

    >>> gains([[4, 2], [3, -1]], Truth.of_lists([[2], [1, 3]]), [0.5, 7.0, 9.0]).tolist()
    [[0.0, 0.5], [9.0, 0.0]]
    """
    listed_UK, values = np.asarray(lists_UK, np.int64), np.asarray(gains_N, np.float64)
    if values.shape != truth.items.shape:
        raise ValueError(f"gains has shape {values.shape}: must be {truth.items.shape}, as the items of the truth")
    found_UK = hits(listed_UK, truth)
    width = int(max(listed_UK.max(initial=0), truth.items.max(initial=0))) + 1
    wanted = truth.users * width + truth.items
    places = np.searchsorted(wanted, np.arange(len(truth))[:, None] * width + listed_UK)
    return np.asarray(found_UK * np.append(values, 0.0)[places], np.float64)


def ndcg(hits_UK: npt.ArrayLike, relevant_U: npt.ArrayLike, k: int) -> Doubles:
    """Normalised discounted cumulative gain (Järvelin & Kekäläinen 2002), by user `[U]`.

    sum over ranks r <= k of hit(r) / log2(r + 1), divided by the best possible: min(k, relevant) hits in front.

    >>> ndcg([[0, 1]], [1], k=10).round(4).tolist()
    [0.6309]
    """
    head_UK, relevant = _head(hits_UK, relevant_U, k)
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    best_U = np.cumsum(discounts)[np.minimum(relevant, k) - 1]
    return np.asarray(head_UK @ discounts[: head_UK.shape[1]] / best_U, np.float64)


def recall(hits_UK: npt.ArrayLike, relevant_U: npt.ArrayLike, k: int) -> Doubles:
    """Hits within the first k / relevant products, by user `[U]`. Below 1 even at best where relevant > k.

    >>> recall([[1, 0, 1]], [4], k=3).tolist()
    [0.5]
    """
    head_UK, relevant = _head(hits_UK, relevant_U, k)
    return np.asarray(head_UK.sum(axis=1) / relevant, np.float64)


def average_precision(hits_UK: npt.ArrayLike, relevant_U: npt.ArrayLike, k: int) -> Doubles:
    """Average precision, by user `[U]`; its mean is MAP@k.

    sum over ranks r <= k of hit(r) · (hits within r) / r, divided by min(k, relevant).

    >>> average_precision([[1, 0, 1]], [2], k=10).round(4).tolist()
    [0.8333]
    """
    head_UK, relevant = _head(hits_UK, relevant_U, k)
    precision_UK = np.cumsum(head_UK, axis=1) / np.arange(1, head_UK.shape[1] + 1)
    return np.asarray((head_UK * precision_UK).sum(axis=1) / np.minimum(relevant, k), np.float64)


def reciprocal_rank(hits_UK: npt.ArrayLike, relevant_U: npt.ArrayLike, k: int) -> Doubles:
    """1 / rank of the first hit within k, 0 without one, by user `[U]`; its mean is MRR@k.

    >>> reciprocal_rank([[0, 1, 1], [0, 0, 0]], [2, 1], k=3).tolist()
    [0.5, 0.0]
    """
    head_UK, _ = _head(hits_UK, relevant_U, k)
    ranks_UK = head_UK / np.arange(1, head_UK.shape[1] + 1)
    return np.asarray(ranks_UK.max(axis=1, initial=0.0), np.float64)


def hit_rate(hits_UK: npt.ArrayLike, relevant_U: npt.ArrayLike, k: int) -> Doubles:
    """1 with a hit within the first k, else 0, by user `[U]`.

    >>> hit_rate([[0, 1], [0, 0]], [1, 1], k=2).tolist()
    [1.0, 0.0]
    """
    head_UK, _ = _head(hits_UK, relevant_U, k)
    return np.asarray(head_UK.max(axis=1, initial=0.0), np.float64)


def _head(hits_UK: npt.ArrayLike, relevant_U: npt.ArrayLike, k: int) -> tuple[Doubles, Longs]:
    matrix = np.asarray(hits_UK, np.float64)
    relevant = np.asarray(relevant_U, np.int64)
    if k < 1:
        raise ValueError(f"k is {k}: must be >= 1")
    if matrix.ndim != 2 or relevant.shape != matrix.shape[:1]:
        raise ValueError(f"hits has shape {matrix.shape}, relevant {relevant.shape}: must be [U, K] and [U]")
    if (relevant < 1).any():
        user = int((relevant < 1).argmax())
        raise ValueError(f"relevant[{user}] is {relevant[user]}: must be >= 1; leave out users without any")
    return matrix[:, :k], relevant
