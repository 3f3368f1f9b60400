"""Has what a model sees moved away from what it learned from? Population stability index, by feature and of scores.

PSI = sum over bins of (a - e) · ln(a / e), with e and a the shares of the reference and of today. By custom (Siddiqi
2006): below .1 stable, .1 to .25 moved, above .25 shifted. Under no drift PSI is not 0: it follows about
(1/n + 1/m) · chi²(B - 1) (Yurdakul 2018), so an index below that distribution's 95 % quantile is called stable whatever
its size: a small sample is no reason to retrain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import stats

from shared.evaluation.arrays import Doubles, Longs

MOVED, SHIFTED = 0.1, 0.25
HALF = 0.5
"""Added to every bin's count, so that an empty bin gives a large index rather than an infinite one."""


class Level(StrEnum):
    """How far a distribution has moved."""

    STABLE = "stable"
    MOVED = "moved"
    SHIFTED = "shifted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Bins of the data that a model learned from; plain numbers, to be stored with the model as JSON."""

    edges: Sequence[float]
    """Inner edges, ascending; a value equal to an edge lies below it."""
    counts: Sequence[int]
    """Rows by bin, then of missing values (nan): `len(edges) + 2`."""

    @classmethod
    def of(cls, values_N: npt.ArrayLike, bins: int = 10) -> Reference:
        """Bins of equal mass. Values that repeat share a bin, so there may be fewer bins than asked."""
        values = _column(values_N)
        there = values[~np.isnan(values)]
        inner = np.quantile(there, np.arange(1, bins) / bins, method="lower") if len(there) else np.empty(0)
        edges = np.unique(inner)
        # An edge at the largest value would make a bin that the reference never fills.
        edges = edges[edges < there.max(initial=-np.inf)]
        return cls(edges=edges.tolist(), counts=_counts(edges, values).tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """The index of one distribution."""

    index: float
    noise: float
    """The 95 % quantile of the index under no drift."""
    level: Level


def stability(reference: Reference, values_N: npt.ArrayLike) -> Stability:
    """The index of today's values against the reference. Raises ValueError for none."""
    actual = _counts(np.asarray(reference.edges, np.float64), _column(values_N))
    expected = np.asarray(reference.counts, np.int64)
    used = (actual + expected) > 0  # no missing values on either side: no bin
    index = _index(expected[used], actual[used])
    degrees = max(int(used.sum()) - 1, 1)
    noise = float(stats.chi2.ppf(0.95, degrees) * (1.0 / expected.sum() + 1.0 / actual.sum()))
    level = Level.STABLE if index < max(MOVED, noise) else Level.MOVED if index < SHIFTED else Level.SHIFTED
    return Stability(index=index, noise=noise, level=level)


def stability_by_feature(
    references: Mapping[str, Reference], features: Mapping[str, npt.ArrayLike]
) -> dict[str, Stability]:
    """The index of every feature, largest first. Raises ValueError when a feature of the reference is missing."""
    missing = sorted(set(references) - set(features))
    if missing:
        raise ValueError(f"features lacks {missing}: must hold every feature of the reference")
    found = {name: stability(reference, features[name]) for name, reference in references.items()}
    return dict(sorted(found.items(), key=lambda pair: -pair[1].index))


def _index(expected_B: Longs, actual_B: Longs) -> float:
    e = (expected_B + HALF) / (expected_B + HALF).sum()
    a = (actual_B + HALF) / (actual_B + HALF).sum()
    return float(((a - e) * np.log(a / e)).sum())


def _counts(edges: Doubles, values: Doubles) -> Longs:
    missing = np.isnan(values)
    places = np.searchsorted(edges, values[~missing], side="left")
    return np.append(np.bincount(places, minlength=len(edges) + 1), missing.sum()).astype(np.int64)


def _column(values_N: npt.ArrayLike) -> Doubles:
    values = np.asarray(values_N, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"values has shape {values.shape}: must be [N], N >= 1")
    return values
