"""Measures of ranked lists. Full ranking: no sampled negatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.cli.evaluation.split import Split

Doubles = npt.NDArray[np.float64]
HEAD, DEPTH = 10, 20
DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Measures:
    """By household; coverage over all of them."""

    ndcg: Doubles
    recall: Doubles
    average_precision: Doubles
    novelty: Doubles
    coverage: float


def ndcg(hits: Sequence[float], relevant: int) -> float:
    """Sum of hit / log2(rank + 1) over the first ten, divided by the best possible sum (Järvelin & Kekäläinen 2002).

    >>> round(ndcg([0, 1], 1), 4)
    0.6309
    """
    best = sum(1.0 / np.log2(rank + 2) for rank in range(min(HEAD, relevant)))
    return float(sum(hit / np.log2(rank + 2) for rank, hit in enumerate(hits[:HEAD])) / best)


def average_precision(hits: Sequence[float], relevant: int) -> float:
    """Mean, over the relevant ones that could stand in the first ten, of the precision at each hit.

    >>> average_precision([1, 0, 1], 2)
    0.8333333333333333
    """
    found, total = 0.0, 0.0
    for rank, hit in enumerate(hits[:HEAD]):
        found += hit
        total += hit * found / (rank + 1)
    return total / min(HEAD, relevant)


def measure(lists: Mapping[int, Sequence[int]], truth: Mapping[int, Any], split: Split) -> Measures:
    """Measures lists of item numbers, by user; a user without a list scores 0."""
    bits = _self_information(split)
    shown: set[int] = set()
    rows = []
    for user, relevant in truth.items():
        ranked, wanted = list(lists.get(user, ()))[:DEPTH], set(relevant.tolist())
        hits = [1.0 if item in wanted else 0.0 for item in ranked]
        head = ranked[:HEAD]
        shown.update(head)
        novelty = float(bits[head].mean()) if head else 0.0
        rows.append((ndcg(hits, len(wanted)), sum(hits) / len(wanted), average_precision(hits, len(wanted)), novelty))
    gain, recall, precision, novelties = np.array(rows, dtype=np.float64).T
    return Measures(gain, recall, precision, novelties, len(shown) / len(split.items))


def interval(values: Doubles, seed: int = 0) -> tuple[float, float, float]:
    """Mean and its 95 % bootstrap interval over households (Efron 1979), 2,000 draws."""
    random = np.random.default_rng(seed)
    means = [values[random.integers(0, len(values), len(values))].mean() for _ in range(DRAWS)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def _self_information(split: Split) -> Doubles:
    """-log2 of the share of households that bought the product (novelty in bits)."""
    buyers = np.zeros(len(split.items))
    for items in split.seen.values():
        buyers[items] += 1.0
    return np.asarray(-np.log2(np.maximum(buyers, 0.5) / len(split.users)), dtype=np.float64)
