"""Products whose text resembles what the user bought last; works for products nobody has bought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from services.trainer.domain import Floats, Ints
from services.trainer.learning.interactions import Interactions, ItemContent
from services.trainer.recommenders.errors import InsufficientData
from services.trainer.recommenders.interface import Report
from services.trainer.recommenders.signals import (
    counted,
    decayed_weights,
    for_strangers,
    popularity,
    signals,
    take_users,
    tie_breakers,
)


@dataclass(frozen=True, kw_only=True)
class ContentBasedConfig:
    """What counts as recent."""

    half_life_days: float = 28.0


class ContentBased:
    """Scores are cosines of a product's text and the mean of the user's products, recent ones weighing more."""

    name = "content"

    def __init__(self, config: ContentBasedConfig) -> None:
        self._config = config
        self._history: Any = None
        self._vectors: Floats = np.empty((0, 0), np.float32)
        self._popular: Floats = np.empty(0, np.float32)
        self._ties: Floats = np.empty(0, np.float32)

    def fit(self, rows: Interactions, content: ItemContent | None, report: Report) -> None:
        kept = signals(rows, self.name)
        if content is None or not content.text_vectors.size:
            raise InsufficientData(self.name, "products have no text vectors")
        self._vectors = content.text_vectors
        self._history = counted(kept, decayed_weights(kept, self._config.half_life_days))
        self._popular, self._ties = popularity(kept), tie_breakers(kept)
        report(self.name, 1, 1)

    def scores(self, users: Ints, now_s: int) -> Floats:
        history = take_users(self._history, users)
        means = np.asarray(history @ self._vectors, dtype=np.float32)
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        return for_strangers(means @ self._vectors.T + self._ties, history, self._popular)
