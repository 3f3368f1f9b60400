"""Matrix factorisation for implicit feedback by alternating least squares (Hu, Koren & Volinsky 2008)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares

from services.trainer.domain import Floats, Ints
from services.trainer.learning.interactions import Interactions, ItemContent
from services.trainer.recommenders.interface import Report
from services.trainer.recommenders.signals import (
    counted,
    decayed_weights,
    for_strangers,
    popularity,
    signals,
    take_users,
)


@dataclass(frozen=True, kw_only=True)
class AlsConfig:
    """Size and strength of the factorisation."""

    factors: int = 64
    regularization: float = 0.05
    alpha: float = 2.0
    """Confidence in an entry: 1 + alpha × decayed count."""
    iterations: int = 15
    half_life_days: float = 112.0
    seed: int = 0


class Als:
    """Scores are inner products of the user's and the product's factors."""

    name = "als"

    def __init__(self, config: AlsConfig) -> None:
        self._config = config
        self._history: Any = None
        self._users: Floats = np.empty((0, 0), np.float32)
        self._products: Floats = np.empty((0, 0), np.float32)
        self._popular: Floats = np.empty(0, np.float32)

    def fit(self, rows: Interactions, content: ItemContent | None, report: Report) -> None:
        kept = signals(rows, self.name)
        self._history = counted(kept, decayed_weights(kept, self._config.half_life_days))
        self._popular = popularity(kept)
        model = AlternatingLeastSquares(
            factors=self._config.factors,
            regularization=self._config.regularization,
            alpha=self._config.alpha,
            iterations=self._config.iterations,
            random_state=self._config.seed,
            num_threads=1,
        )
        done = iter(range(1, self._config.iterations + 1))
        model.fit(
            self._history,
            show_progress=False,
            callback=lambda *_: report(self.name, next(done), self._config.iterations),
        )
        self._users, self._products = model.user_factors, model.item_factors

    def scores(self, users: Ints, now_s: int) -> Floats:
        history = take_users(self._history, users)
        factors = self._users[np.clip(users, 0, len(self._users) - 1)]
        return for_strangers(np.asarray(factors @ self._products.T, dtype=np.float32), history, self._popular)
