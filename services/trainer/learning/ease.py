"""The closed form of EASE (Steck 2019): over users where they are fewer, over products otherwise.

With P = (XᵀX + λI)⁻¹ the weights are B = -P / diag(P) off the diagonal. With A = (XXᵀ + λI)⁻¹X, XP = A and
diag(P) = (1 - diag(XᵀA)) / λ, so nothing of products × products is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from services.trainer.domain import Floats


def dual_scores(matrix: Any, ridge: float) -> Floats:
    """A / diag(P) `[U, P]` of a sparse matrix `[U, P]`; cubic in users."""
    gram = (matrix @ matrix.T).toarray().astype(np.float32)
    gram[np.diag_indices(len(gram))] += ridge
    factor = scipy.linalg.cho_factor(gram, overwrite_a=True, check_finite=False)
    dual = scipy.linalg.cho_solve(factor, matrix.toarray(), overwrite_b=True, check_finite=False)
    diagonal = (1.0 - np.asarray(matrix.multiply(dual).sum(axis=0)).ravel()) / ridge
    dual /= diagonal[None, :].astype(np.float32)
    return np.asarray(dual, dtype=np.float32)


def item_weights(matrix: Any, ridge: float) -> Floats:
    """B `[P, P]` of a sparse matrix `[U, P]`; cubic in products."""
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    gram[np.diag_indices(len(gram))] += ridge
    precision = scipy.linalg.inv(gram, overwrite_a=True, check_finite=False)
    weights = np.asarray(-precision / np.diag(precision)[None, :], dtype=np.float32)
    weights[np.diag_indices(len(weights))] = 0.0
    return weights
