"""A mix of recommenders that need no rows of a product, with weights learned by making known products new.

A share of the products is taken out of the training rows; the parts are fitted without them, and the mix learns to
order exactly those for the users who chose some after a cut in time. Then the parts are fitted on all rows. The same
idea as DropoutNet (Volkovs et al. 2017): what must work without preferences is taught without preferences.

Legend: U users, P products, C products taken out, F features, two a part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from services.trainer.domain import Floats, Ints, Longs
from services.trainer.learning.interactions import Interactions, ItemContent
from services.trainer.learning.pairs import Doubles
from services.trainer.recommenders.holdout import split_in_time
from services.trainer.recommenders.interface import Recommender, Report
from services.trainer.recommenders.mixing import Candidates, MixConfig, learn_weights, part_features
from services.trainer.recommenders.signals import counted, for_strangers, popularity, signals, take_users, weights_of


@dataclass(frozen=True, kw_only=True)
class ColdStartConfig:
    """What is taken out, and who teaches."""

    horizon_days: float | None = 28.0
    """What is foretold: the next so many days; None: the next event of each user."""
    share: float = 0.2
    """Of the products."""
    users: int = 1000
    """Drawn at most."""
    seed: int = 0
    mix: MixConfig = field(default_factory=MixConfig)


class ColdStart:
    """Scores are weighted sums of the parts' normalised scores; without a lesson all parts count the same."""

    def __init__(self, name: str, parts: Sequence[Recommender], config: ColdStartConfig) -> None:
        self.name = name
        self._parts = tuple(parts)
        self._config = config
        self._weights: Doubles = np.ones(2 * len(self._parts))
        self._history: Any = None
        self._popular: Floats = np.empty(0, np.float32)

    def fit(self, rows: Interactions, content: ItemContent | None, report: Report) -> None:
        kept = signals(rows, self.name)
        learned = self._lesson(kept, content, report)
        self._weights = learned if learned is not None and learned.any() else np.ones(2 * len(self._parts))
        self._history, self._popular = counted(kept, weights_of(kept)), popularity(kept)
        for part in self._parts:
            part.fit(kept, content, report)
        report(self.name, 1, 1)

    def scores(self, users: Ints, now_s: int) -> Floats:
        found = np.zeros((len(users), len(self._popular)), np.float32)
        for place, part in enumerate(self._parts):
            for which, feature in enumerate(part_features(part.scores(users, now_s))):
                found += np.float32(self._weights[2 * place + which]) * feature
        return for_strangers(found, take_users(self._history, users), self._popular)

    def _lesson(self, rows: Interactions, content: ItemContent | None, report: Report) -> Doubles | None:
        """Weights `[F]`; None when nobody can teach."""
        before, later, now_s = split_in_time(rows, self._config.horizon_days)
        random = np.random.default_rng(self._config.seed)
        taken = random.random(len(rows.product_ids)) < self._config.share
        before, later = before.where(~taken[before.products]), later.where(taken[later.products])
        users = np.intersect1d(before.users, later.users).astype(np.int32)
        if not len(users):
            return None
        users = np.sort(random.permutation(users)[: self._config.users])
        for part in self._parts:
            part.fit(before, content, report)
        return learn_weights(self._candidates(users, later, np.flatnonzero(taken), now_s), self._config.mix)

    def _candidates(self, users: Ints, later: Interactions, taken: Longs, now_s: int) -> Candidates:
        """All products taken out `[U, C, F]`."""
        features = np.stack(
            [feature[:, taken] for part in self._parts for feature in part_features(part.scores(users, now_s))], axis=2
        )
        chosen = np.asarray((take_users(counted(later, np.ones(len(later))), users)[:, taken] > 0).todense())
        return Candidates(features, chosen, np.ones_like(chosen), chosen.sum(axis=1))
