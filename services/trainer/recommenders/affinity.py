"""Popular products of the categories and brands a user prefers: naive Bayes over attributes.

The score of a product is its popularity times, for each attribute a, (P(a | user) / P(a))^power; P(a | user) is the
user's decayed share, pulled towards the shop's. Works for users with few rows, and a product that was never bought has
its attributes' lift.

Legend: U users, P products, A values of an attribute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from services.trainer.domain import Floats, Ints
from services.trainer.learning.interactions import Interactions, ItemContent
from services.trainer.learning.pairs import Doubles
from services.trainer.recommenders.errors import InsufficientData
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
class AffinityConfig:
    """How much each attribute decides."""

    half_life_days: float = 112.0
    prior: float = 20.0
    """Purchases that the shop's shares are worth beside the user's own."""
    leaf_power: float = 0.6
    parent_power: float = 0.4
    brand_power: float = 0.5
    popularity_power: float = 1.0


class Affinity:
    """Scores are logarithms of popularity × lifts."""

    name = "affinity"

    def __init__(self, config: AffinityConfig) -> None:
        self._config = config
        self._history: Any = None
        self._attributes: list[tuple[float, Ints, Doubles]] = []
        """Power, value of each product `[P]`, share of each value in the shop `[A]`."""
        self._base: Floats = np.empty(0, np.float32)
        self._popular: Floats = np.empty(0, np.float32)

    def fit(self, rows: Interactions, content: ItemContent | None, report: Report) -> None:
        kept = signals(rows, self.name)
        if content is None:
            raise InsufficientData(self.name, "products have no categories and brands")
        self._history = counted(kept, decayed_weights(kept, self._config.half_life_days))
        self._popular = popularity(kept)
        # Half a buyer: a product that nobody bought has a logarithm, below all others of its attributes.
        self._base = (self._config.popularity_power * np.log(self._popular + 0.5)).astype(np.float32)
        totals = np.asarray(self._history.sum(axis=0)).ravel()
        leaves = content.categories.leaf_indexes
        values = (
            (self._config.leaf_power, leaves),
            (self._config.parent_power, content.categories.parents[leaves]),
            (self._config.brand_power, content.brands),
        )
        self._attributes = [(power, value, _shares(value, totals)) for power, value in values]
        report(self.name, 1, 1)

    def scores(self, users: Ints, now_s: int) -> Floats:
        history = take_users(self._history, users)
        sizes = np.asarray(history.sum(axis=1)).ravel()
        found = np.repeat(self._base[None, :], len(users), axis=0)
        for power, values, shares in self._attributes:
            spread = sp.csr_matrix(
                (np.ones(len(values)), (np.arange(len(values)), values)), shape=(len(values), len(shares))
            )
            own = np.asarray((history @ spread).todense())
            posterior = (own + self._config.prior * shares) / (sizes + self._config.prior)[:, None]
            found += power * np.log(posterior / shares).astype(np.float32)[:, values]
        return for_strangers(found, history, np.log(self._popular + 0.5))


def _shares(values: Ints, totals: Doubles) -> Doubles:
    """Share of each value, half a purchase added, so that none is 0."""
    counts = np.bincount(values, totals) + 0.5
    return np.asarray(counts / counts.sum(), dtype=np.float64)
