"""How near a product's text is to those of what a person liked. The same for serving and learning.

A power mean of cosines, so that a product near to one of the person's tastes is near; the cosine to the mean vector,
which lies between the tastes, orders worse (docs/quality.md, "Products nobody has bought").

Legend: N products, S seeds, D components.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Weights = npt.NDArray[np.float32] | npt.NDArray[np.float64]
POWER = 8
"""The higher, the less distant seeds count."""


def closeness(vectors_ND: Floats, seeds_SD: Floats, weights_S: Weights) -> Floats:
    """(sum of weight x max(0, cosine)^8 / sum of weights)^(1/8) of unit vectors `[N]`, from 0 to 1; 0 without seeds.

    >>> one, other = np.float32([1, 0]), np.float32([0, 1])
    >>> closeness(np.stack([one, other]), one[None], np.ones(1)).tolist()
    [1.0, 0.0]
    """
    total = float(weights_S.sum())
    if total <= 0.0:
        return np.zeros(len(vectors_ND), np.float32)
    cosines_NS = np.maximum(vectors_ND @ seeds_SD.T, 0.0)
    means_N = cosines_NS**POWER @ (weights_S / total).astype(np.float32)
    found: Floats = np.power(means_N, 1.0 / POWER, dtype=np.float32)
    return found
