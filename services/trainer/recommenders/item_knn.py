"""Item-to-item neighbourhoods (Sarwar et al. 2001), with cosine or BM25 weights (Robertson & Zaragoza 2009)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from implicit.nearest_neighbours import ItemItemRecommender, bm25_weight, normalize

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
    tie_breakers,
)


@dataclass(frozen=True, kw_only=True)
class ItemKnnConfig:
    """Weights and size of the neighbourhoods."""

    weighting: Literal["cosine", "bm25"] = "cosine"
    neighbours: int = 100
    half_life_days: float = 112.0
    k1: float = 1.2
    """BM25: how soon another purchase of the same product adds nothing."""
    b: float = 0.75
    """BM25: how much users with long histories are discounted."""


class ItemKnn:
    """Scores are sums over the user's products of their similarity to the candidate, weighted by decayed counts."""

    def __init__(self, config: ItemKnnConfig) -> None:
        self.name = f"item-knn-{config.weighting}"
        self._config = config
        self._history: Any = None
        self._similarities: Any = None
        self._popular: Floats = np.empty(0, np.float32)
        self._ties: Floats = np.empty(0, np.float32)

    def fit(self, rows: Interactions, content: ItemContent | None, report: Report) -> None:
        kept = signals(rows, self.name)
        self._history = counted(kept, decayed_weights(kept, self._config.half_life_days))
        self._popular, self._ties = popularity(kept), tie_breakers(kept)
        model = ItemItemRecommender(K=self._config.neighbours, num_threads=1)
        model.fit(self._weighted().T.tocsr(), show_progress=False)
        self._similarities = model.similarity.tocsr()
        report(self.name, 1, 1)

    def scores(self, users: Ints, now_s: int) -> Floats:
        history = take_users(self._history, users)
        found = np.asarray((history @ self._similarities).todense(), dtype=np.float32) + self._ties
        return for_strangers(found, history, self._popular)

    def _weighted(self) -> Any:
        """Sparse products × users `[P, U]`."""
        if self._config.weighting == "bm25":
            return bm25_weight(self._history.T, self._config.k1, self._config.b)
        return normalize(self._history.T)
