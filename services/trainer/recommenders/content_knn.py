"""Products whose text is near to single products the user bought: item-to-item neighbourhoods of texts.

The mean of a household's products, which `ContentBased` compares with, lies between its tastes; a neighbour of one
product suits one of them. Works for products nobody has bought.

Legend: U users, P products, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from services.trainer.domain import Floats, Ints, Longs
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

BLOCK = 1024
"""Products compared with all others at once."""


@dataclass(frozen=True, kw_only=True)
class ContentKnnConfig:
    """Size and sharpness of the neighbourhoods."""

    half_life_days: float = 112.0
    neighbours: int = 200
    """Products with rows that each candidate is compared with, the nearest ones."""
    power: float = 8.0
    """Of the cosine: the higher, the less distant neighbours count."""


class ContentKnn:
    """Scores are ln of the sum over the user's products of decayed count × cosine^power."""

    name = "content-knn"

    def __init__(self, config: ContentKnnConfig) -> None:
        self._config = config
        self._history: Any = None
        self._similarities: Any = None
        self._popular: Floats = np.empty(0, np.float32)
        self._ties: Floats = np.empty(0, np.float32)

    def fit(self, rows: Interactions, content: ItemContent | None, report: Report) -> None:
        kept = signals(rows, self.name)
        if content is None or not content.text_vectors.size:
            raise InsufficientData(self.name, "products have no text vectors")
        self._history = counted(kept, decayed_weights(kept, self._config.half_life_days))
        self._popular, self._ties = popularity(kept), tie_breakers(kept)
        self._similarities = self._neighbourhoods(content.text_vectors, np.unique(kept.products).astype(np.int64))
        report(self.name, 1, 1)

    def scores(self, users: Ints, now_s: int) -> Floats:
        history = take_users(self._history, users)
        sums = np.asarray((history @ self._similarities).todense(), dtype=np.float32)
        return for_strangers(np.log(sums + np.float32(1e-6)) + self._ties, history, self._popular)

    def _neighbourhoods(self, vectors: Floats, acted_on: Longs) -> Any:
        """Sparse similarities `[P, P]`: in each column the K nearest products with rows."""
        count, width = len(vectors), min(self._config.neighbours, len(acted_on))
        sources, values = [], []
        for start in range(0, count, BLOCK):
            cosines = vectors[start : start + BLOCK] @ vectors[acted_on].T
            nearest = np.argpartition(-cosines, width - 1, axis=1)[:, :width]
            values.append(np.maximum(np.take_along_axis(cosines, nearest, axis=1), 0.0) ** self._config.power)
            sources.append(acted_on[nearest])
        columns = np.repeat(np.arange(count), width)
        places = (np.concatenate(sources).ravel(), columns)
        return sp.csr_matrix((np.concatenate(values).ravel().astype(np.float32), places), shape=(count, count))
