"""A mix of recommenders whose weights are learned from what users did after a cut inside the training rows.

1. Parts are fitted on the rows before the cut. Users who did something after it are drawn; their candidates are the
   heads of the parts' rankings, with and without products they had.
2. Weights are learned apart for products the user had and for new ones: what foretells a repeat does not foretell a
   first purchase. Then the two orders are put on one level, and the first is moved for the best list of both.
3. Parts are fitted again on all rows.

Legend: U users, P products, F features, two a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from services.trainer.domain import Floats, Ints
from services.trainer.learning.interactions import Interactions, ItemContent
from services.trainer.learning.pairs import Doubles
from services.trainer.recommenders.errors import InsufficientData
from services.trainer.recommenders.holdout import split_in_time
from services.trainer.recommenders.interface import Recommender, Report
from services.trainer.recommenders.mixing import Candidates, MixConfig, learn_weights, level, part_features, polished
from services.trainer.recommenders.signals import counted, signals, take_users, weights_of

Mask = npt.NDArray[np.bool_]

BLOCK = 256
"""Users worked on at once."""


@dataclass(frozen=True, kw_only=True)
class HybridConfig:
    """The validation cut and what is learned there."""

    horizon_days: float | None = 28.0
    """What is foretold: the next so many days; None: the next event of each user."""
    users: int = 1500
    """Drawn at most."""
    head: int = 200
    """Candidates taken from each part's rankings."""
    seed: int = 0
    mix: MixConfig = field(default_factory=MixConfig)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Candidates, and which of them the user had `[U, L]`."""

    candidates: Candidates
    had: Mask


class Hybrid:
    """Scores are weighted sums of the parts' normalised scores."""

    def __init__(self, name: str, parts: Sequence[Recommender], config: HybridConfig) -> None:
        self.name = name
        self._parts = tuple(parts)
        self._config = config
        self._history: Any = None
        self._new: Doubles = np.zeros(2 * len(self._parts))
        """Weights for products new to the user `[F]`."""
        self._had: Doubles = np.zeros(2 * len(self._parts))
        self._shift = 0.0
        """Added to the scores of products the user had."""

    def fit(self, rows: Interactions, content: ItemContent | None, report: Report) -> None:
        kept = signals(rows, self.name)
        before, later, now_s = split_in_time(kept, self._config.horizon_days)
        known = np.intersect1d(before.users, later.users).astype(np.int32)
        if not len(known):
            raise InsufficientData(self.name, "no user has rows before and after the validation cut")
        self._fit_parts(before, content, report)
        drawn = np.sort(np.random.default_rng(self._config.seed).permutation(known)[: self._config.users])
        self._learn(self._draw(drawn, later, now_s))
        self._fit_parts(kept, content, report)
        report(self.name, 1, 1)

    def scores(self, users: Ints, now_s: int) -> Floats:
        new = np.zeros((len(users), self._history.shape[1]), np.float32)
        old = np.zeros_like(new)
        for place, feature in enumerate(self._features(users, now_s)):
            new += np.float32(self._new[place]) * feature
            old += np.float32(self._had[place]) * feature
        return np.where(self._owned(users), old + np.float32(self._shift), new)

    def weights(self) -> dict[str, dict[str, tuple[float, float]]]:
        """By part, for products `new` to the user and those they `had`: weights of the log and of the plain z-score."""
        return {
            group: {
                part.name: (float(values[2 * at]), float(values[2 * at + 1])) for at, part in enumerate(self._parts)
            }
            for group, values in (("new", self._new), ("had", self._had))
        }

    def _fit_parts(self, rows: Interactions, content: ItemContent | None, report: Report) -> None:
        self._history = counted(rows, weights_of(rows))
        for part in self._parts:
            part.fit(rows, content, report)

    def _owned(self, users: Ints) -> Mask:
        return np.asarray((take_users(self._history, users) > 0).todense())

    def _features(self, users: Ints, now_s: int) -> Iterator[Floats]:
        """Two of each part `[U, P]`."""
        for part in self._parts:
            yield from part_features(part.scores(users, now_s))

    def _learn(self, drawn: _Drawn) -> None:
        everything = drawn.candidates
        self._new = learn_weights(_of_group(everything, ~drawn.had), self._config.mix)
        self._had = learn_weights(_of_group(everything, drawn.had), self._config.mix)
        new, old = (everything.features @ weights.astype(np.float32) for weights in (self._new, self._had))
        # Both in their own standard deviations, so that one grid of levels serves every data set.
        spreads = [
            float(order[mask].std()) or 1.0 for order, mask in ((new, ~drawn.had), (old, drawn.had)) if mask.any()
        ]
        unit_new, unit_old = (*spreads, 1.0)[:2]
        self._new, self._had = self._new / unit_new, self._had / unit_old
        scale, self._shift = level(new / unit_new, old / unit_old, drawn.had, everything)
        self._had = self._polished_together(drawn, new / unit_new, self._had * scale)

    def _polished_together(self, drawn: _Drawn, new: Floats, weights: Doubles) -> Doubles:
        """Weights for what the user had, moved for the best list of both groups: which repeats beat which new ones."""
        drawn.candidates.features[~drawn.had] = 0.0
        scale = np.maximum(drawn.candidates.features[drawn.had].std(axis=0), 1e-6) if drawn.had.any() else np.float32(1)
        base = np.where(drawn.had, np.float32(self._shift), new)
        return polished(drawn.candidates, weights, np.broadcast_to(scale, weights.shape), self._config.mix, base)

    def _draw(self, users: Ints, later: Interactions, now_s: int) -> _Drawn:
        chosen = take_users(counted(later, np.ones(len(later))), users) > 0
        blocks = [
            self._draw_block(users[at : at + BLOCK], chosen[at : at + BLOCK], now_s)
            for at in range(0, len(users), BLOCK)
        ]
        width = max(len(places) for block in blocks for places, *_ in block)
        count = 2 * len(self._parts)
        features = np.zeros((len(users), width, count), np.float32)
        labels, had, valid = (np.zeros((len(users), width), np.bool_) for _ in range(3))
        for user, (places, values, hit, owned) in enumerate(line for block in blocks for line in block):
            size = len(places)
            features[user, :size], labels[user, :size], had[user, :size] = values, hit, owned
            valid[user, :size] = True
        return _Drawn(Candidates(features, labels, valid, np.diff(chosen.tocsr().indptr)), had)

    def _draw_block(self, users: Ints, chosen: Any, now_s: int) -> list[tuple[Ints, Floats, Mask, Mask]]:
        """By user: candidates, their features, whether chosen, whether the user had them."""
        owned, labels = self._owned(users), np.asarray(chosen.todense())
        taken = np.zeros_like(owned)
        features = list(self._features(users, now_s))
        for feature in features[::2]:
            for order in (feature, np.where(owned, -np.inf, feature)):
                heads = np.argpartition(-order, min(self._config.head, order.shape[1]) - 1, axis=1)
                np.put_along_axis(taken, heads[:, : self._config.head], True, axis=1)
        lines = []
        for user in range(len(users)):
            places = np.flatnonzero(taken[user]).astype(np.int32)
            values = np.stack([feature[user, places] for feature in features], axis=1)
            lines.append((places, values, labels[user, places], owned[user, places]))
        return lines


def _of_group(candidates: Candidates, group: Mask) -> Candidates:
    """The candidates of a group alone; each user is judged by what they chose among them."""
    valid = candidates.valid & group
    counts = (candidates.chosen & valid).sum(axis=1)
    return Candidates(candidates.features, candidates.chosen, valid, counts)
