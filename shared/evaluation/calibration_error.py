"""Whether predicted probabilities mean what they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from shared.evaluation.arrays import Doubles, Longs, finite

BINS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """The reliability curve: bins of about equally many rows, in ascending order of prediction `[B]`."""

    predicted: Doubles
    """Mean prediction of the bin."""
    observed: Doubles
    """Share of successes in the bin."""
    low: Doubles
    high: Doubles
    """Wilson interval of `observed`, 95 %."""
    counts: Longs


def reliability(predicted_N: npt.ArrayLike, outcomes_N: npt.ArrayLike, bins: int = BINS) -> Reliability:
    """Bins of equal mass. Equal predictions share a bin, so there may be fewer bins than asked.

    Raises ValueError where a prediction is outside 0..1 or an outcome is neither 0 nor 1.
    """
    predicted, outcomes = _checked(predicted_N, outcomes_N)
    edges = np.unique(np.quantile(predicted, np.arange(1, bins) / bins, method="lower"))
    # An edge is the largest value of its bin.
    _, places = np.unique(np.searchsorted(edges, predicted, side="left"), return_inverse=True)
    counts = np.bincount(places)
    successes = np.bincount(places, outcomes).astype(np.int64)
    wilson = [
        stats.binomtest(int(hits), int(count)).proportion_ci(0.95, method="wilson")
        for hits, count in zip(successes, counts, strict=True)
    ]
    return Reliability(
        predicted=np.bincount(places, predicted) / counts,
        observed=successes / counts,
        low=np.array([interval.low for interval in wilson]),
        high=np.array([interval.high for interval in wilson]),
        counts=counts,
    )


def expected_calibration_error(predicted_N: npt.ArrayLike, outcomes_N: npt.ArrayLike, bins: int = BINS) -> float:
    """ECE with equal-mass bins (Nguyen & O'Connor 2015; Guo et al. 2017), which rare outcomes need.

    sum over bins of (rows in bin / rows) · |mean prediction - share of successes|.

    >>> expected_calibration_error([0.25] * 4, [0, 0, 0, 1])
    0.0
    >>> expected_calibration_error([1.0, 0.0], [0, 0], bins=2)
    0.5
    """
    curve = reliability(predicted_N, outcomes_N, bins)
    return float(curve.counts @ np.abs(curve.predicted - curve.observed) / curve.counts.sum())


def _checked(predicted_N: npt.ArrayLike, outcomes_N: npt.ArrayLike) -> tuple[Doubles, Doubles]:
    predicted, outcomes = finite("predicted", predicted_N), finite("outcomes", outcomes_N)
    if predicted.ndim != 1 or predicted.shape != outcomes.shape or not len(predicted):
        raise ValueError(f"predicted has shape {predicted.shape}, outcomes {outcomes.shape}: must be [N], N >= 1")
    for name, bad, rule in (
        ("predicted", (predicted < 0) | (predicted > 1), "within 0..1"),
        ("outcomes", (outcomes != 0) & (outcomes != 1), "0 or 1"),
    ):
        if bad.any():
            row = int(bad.argmax())
            value = (predicted if name == "predicted" else outcomes)[row]
            raise ValueError(f"{name}[{row}] is {value}: must be {rule}")
    return predicted, outcomes
