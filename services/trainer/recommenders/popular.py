"""What many people bought lately: the same list for everybody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.trainer.domain import Floats, Ints
from services.trainer.learning.interactions import Interactions, ItemContent
from services.trainer.recommenders.interface import Report
from services.trainer.recommenders.signals import POPULARITY_DAYS, popularity, signals


@dataclass(frozen=True, kw_only=True)
class PopularityConfig:
    """Which people count."""

    window_days: float = POPULARITY_DAYS


class Popularity:
    """Scores are the people who met a product within the window before the latest row."""

    def __init__(self, config: PopularityConfig, name: str = "popularity") -> None:
        self.name = name
        self._config = config
        self._popular: Floats = np.empty(0, np.float32)

    def fit(self, rows: Interactions, content: ItemContent | None, report: Report) -> None:
        self._popular = popularity(signals(rows, self.name), self._config.window_days)
        report(self.name, 1, 1)

    def scores(self, users: Ints, now_s: int) -> Floats:
        return np.repeat(self._popular[None, :], len(users), axis=0)
