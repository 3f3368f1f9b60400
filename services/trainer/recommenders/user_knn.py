"""People who bought alike, with decay (UP-CF: Faggioli, Polato & Aiolli 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

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
class UserKnnConfig:
    """Size of the neighbourhood and the user's own part."""

    neighbours: int = 50
    half_life_days: float = 56.0
    own_share: float = 0.7
    """Of the user's own history; the rest is the neighbours'."""


class UserKnn:
    """Scores are own share × own profile + (1 - own share) × the profiles of the most alike, weighted by cosine.

    A profile is the user's decayed counts, scaled to length 1.
    """

    name = "user-knn"

    def __init__(self, config: UserKnnConfig) -> None:
        self._config = config
        self._profiles: Any = None
        self._popular: Floats = np.empty(0, np.float32)
        self._ties: Floats = np.empty(0, np.float32)

    def fit(self, rows: Interactions, content: ItemContent | None, report: Report) -> None:
        kept = signals(rows, self.name)
        counts = counted(kept, decayed_weights(kept, self._config.half_life_days))
        lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1))).ravel()
        self._profiles = (sp.diags(1.0 / np.where(lengths > 0.0, lengths, 1.0)) @ counts).astype(np.float32).tocsr()
        self._popular, self._ties = popularity(kept), tie_breakers(kept)
        report(self.name, 1, 1)

    def scores(self, users: Ints, now_s: int) -> Floats:
        own = take_users(self._profiles, users)
        cosines = np.asarray((own @ self._profiles.T).todense(), dtype=np.float32)
        inside = np.flatnonzero((users >= 0) & (users < self._profiles.shape[0]))
        cosines[inside, users[inside]] = 0.0
        near = _largest(cosines, self._config.neighbours)
        others = np.asarray((near @ self._profiles).todense(), dtype=np.float32)
        found = self._config.own_share * np.asarray(own.todense()) + (1.0 - self._config.own_share) * others
        return for_strangers(np.asarray(found + TIE_SCALE * self._ties, dtype=np.float32), own, self._popular)


TIE_SCALE = 0.01
"""Entries of a profile of length 1 are smaller than counts."""


def _largest(cosines: Floats, count: int) -> Any:
    """The `count` largest entries of each row, scaled to the sum 1 `[U, U]`, sparse."""
    width = min(count, cosines.shape[1])
    places = np.argpartition(-cosines, width - 1, axis=1)[:, :width]
    values = np.maximum(np.take_along_axis(cosines, places, axis=1), 0.0)
    values /= np.maximum(values.sum(axis=1, keepdims=True), 1e-9)
    starts = np.arange(0, places.size + 1, width)
    return sp.csr_matrix((values.ravel(), places.ravel(), starts), shape=cosines.shape)
