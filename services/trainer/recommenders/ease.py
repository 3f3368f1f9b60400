"""EASE (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data"): each product from all others.

In closed form: B = -P / diag(P) off the diagonal, 0 on it, with P = (XᵀX + λI)⁻¹; scores are XB.
With fewer users than products nothing of products × products is needed: with A = (XXᵀ + λI)⁻¹X, XP = A and
diag(P) = (1 - diag(XᵀA)) / λ, so that XB = X - A / diag(P).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from services.trainer.domain import Floats, Ints
from services.trainer.learning.ease import dual_scores, item_weights
from services.trainer.learning.interactions import Interactions, ItemContent
from services.trainer.recommenders.errors import InsufficientData
from services.trainer.recommenders.interface import Report
from services.trainer.recommenders.signals import (
    counted,
    decayed_weights,
    for_strangers,
    popularity,
    signals,
    strongest,
    take_users,
)


@dataclass(frozen=True, kw_only=True)
class EaseConfig:
    """Strength, decay, and the size up to which the closed form is affordable."""

    ridge: float = 200.0
    """λ."""
    entries: Literal["root", "latest"] = "root"
    """Root of the decayed count keeps the user's products in front; decay of the latest event foretells new ones."""
    half_life_days: float = 112.0
    dense_side: int = 12_000
    """The smaller of users and products may be at most this: its cube is the time."""
    dense_cells: int = 400_000_000
    """Users × products may be at most this where users are fewer: 1.6 GB of 32-bit floats."""


class Ease:
    """Scores are XB for the users that were fitted."""

    def __init__(self, config: EaseConfig) -> None:
        self.name = "ease" if config.entries == "root" else f"ease-{config.entries}"
        self._config = config
        self._history: Any = None
        self._dual: Floats | None = None
        """A / diag(P) `[U, P]`, where users are fewer."""
        self._weights: Floats | None = None
        """B `[P, P]`, where products are fewer."""
        self._popular: Floats = np.empty(0, np.float32)

    def fit(self, rows: Interactions, content: ItemContent | None, report: Report) -> None:
        kept = signals(rows, self.name)
        self._history = self._matrix(kept)
        self._popular = popularity(kept)
        self._dual = self._weights = None
        users, products = self._history.shape
        if min(users, products) > self._config.dense_side or users * products > self._config.dense_cells:
            raise InsufficientData(self.name, f"{users} users × {products} products are too many for the closed form")
        if users < products:
            self._dual = dual_scores(self._history, self._config.ridge)
        else:
            self._weights = item_weights(self._history, self._config.ridge)
        report(self.name, 1, 1)

    def scores(self, users: Ints, now_s: int) -> Floats:
        history = take_users(self._history, users)
        if self._dual is not None:
            found = np.asarray(history.todense(), dtype=np.float32)
            found -= self._dual[np.clip(users, 0, len(self._dual) - 1)]
        else:
            found = np.asarray(history @ self._weights, dtype=np.float32)
        return for_strangers(found, history, self._popular)

    def _matrix(self, rows: Interactions) -> Any:
        weights = decayed_weights(rows, self._config.half_life_days)
        return counted(rows, weights).sqrt() if self._config.entries == "root" else strongest(rows, weights)
