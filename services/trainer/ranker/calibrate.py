"""Scores become probabilities that mean what they say, learnt from persons that the model did not see.

Platt scaling (Platt 1999) keeps the order, which isotonic regression does not: its steps would tie products.

Legend: N examples, U persons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from shared.features.columns import Doubles, Mask

LEAST_SLOPE = 1e-3
"""Keeps the order of a model that foretells nothing."""

Numbers = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Platt:
    """P(yes) = 1 / (1 + exp(-(slope · logit + intercept)))."""

    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def fitted(cls, logits: Numbers, outcomes: npt.NDArray[Any]) -> Platt:
        """The most likely scaling of outcomes, 0 or 1 `[N]`, towards which Platt's prior pulls where they are few.

        Raises ValueError without examples, or when the columns differ in length.
        """
        if not len(logits) or logits.shape != outcomes.shape:
            raise ValueError(f"logits has shape {logits.shape}, outcomes {outcomes.shape}: must be [N], N >= 1")
        values, hits = logits.astype(np.float64), outcomes > 0
        positive = int(hits.sum())
        targets = np.where(hits, (positive + 1.0) / (positive + 2.0), 1.0 / (len(hits) - positive + 2.0))

        def loss(point: Doubles) -> tuple[float, Doubles]:
            odds = point[0] * values + point[1]
            misses = _sigmoid(odds) - targets
            gradient = np.array([misses @ values, misses.sum()]) / len(values)
            return float(np.mean(np.logaddexp(0.0, odds) - targets * odds)), gradient

        bounds = [(LEAST_SLOPE, None), (None, None)]
        slope, intercept = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds).x
        return cls(float(slope), float(intercept))

    def __call__(self, logits: Numbers) -> Doubles:
        """Probabilities `[N]`."""
        return _sigmoid(self.slope * logits.astype(np.float64) + self.intercept)


def hold_out_persons(count: int, share: float, seed: int) -> Mask:
    """Which of the persons are kept from the model to calibrate by `[U]`; at least one of two or more."""
    held = np.zeros(count, np.bool_)
    size = min(max(round(share * count), 1), max(count - 1, 0))
    held[np.random.default_rng(seed).permutation(count)[:size]] = True
    return held


def _sigmoid(odds: Doubles) -> Doubles:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * odds)), np.float64)
