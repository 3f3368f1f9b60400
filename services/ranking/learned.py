"""The order by a release's learned ranker, and what each group of features contributes.

A score is the log-odds of the tasks' weighted probability. A group's contribution is how much the score falls when the
group's features are set to what is usual (occlusion, Zeiler & Fergus 2014): it needs no knowledge of the model, and
contributions of groups need not sum to the score. Only the head of the list is explained.

Legend: C candidates, F features, G groups, H candidates explained, K tasks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from services.ranking.ports import LearnedRanker, Matrix, RankerRunner
from shared.errors.base import MercatoError, Unavailable
from shared.features import blend
from shared.features.blend import Scored
from shared.features.columns import Doubles, Longs
from shared.features.joined import Columns
from shared.features.registry import matrix

PAUSE_SECONDS = 1.0
"""A ranker that failed is left alone so long, so that a Triton that hangs costs one request a second its time."""
SMALLEST = 1e-6


@dataclass(frozen=True, slots=True)
class Found:
    """What a ranker says of candidates."""

    scored: Scored
    """Log-odds; -inf for those that are not shown."""
    features: Matrix
    """Of all candidates `[C, F]`."""
    weights: Doubles
    """Of the tasks in the log-odds `[K]`."""
    amounts: Doubles | None
    """What is spent on a purchase `[C]`, 1 for those that are not shown; None: the ranker foretells none."""


class Learned:
    """Asks Triton; after a failure it refuses for a moment without asking."""

    def __init__(self, runner: RankerRunner) -> None:
        self._runner = runner
        self._closed_until = 0.0

    async def score(self, ranker: LearnedRanker, columns: Columns, shown: Longs, revenue_weight: float) -> Found:
        """Scores `shown`. Raises MercatoError."""
        features, weights = matrix(columns, ranker.features), ranker.weights_for(revenue_weight)
        scores = np.full(len(columns.own), -np.inf)
        scores[shown], spent = await self._run(ranker, features[shown], weights)
        amounts = None
        if spent is not None:
            amounts = np.ones(len(scores))
            amounts[shown] = spent
        values: dict[str, Doubles] = {}
        contributions: dict[str, Doubles] = {}
        for name, (value, part) in blend.unlearnt(columns, ranker.features).items():
            values[name], contributions[name] = value, part
            scores += part
        return Found(Scored(columns, scores, values, contributions), features, weights, amounts)

    async def explain(self, ranker: LearnedRanker, found: Found, scored: Scored, head: Longs) -> Scored:
        """Adds to `scored` the groups' contributions for the candidates of `head`. Raises MercatoError."""
        features = found.features
        if not len(head) or not ranker.groups:
            return scored
        whole = features[head]
        rows = [whole]
        for members in ranker.groups.values():
            without = whole.copy()
            without[:, members] = ranker.baseline[list(members)]
            rows.append(without)
        odds = (await self._run(ranker, np.concatenate(rows), found.weights))[0].reshape(len(rows), len(head))
        values, contributions = dict(scored.values), dict(scored.contributions)
        for number, (group, members) in enumerate(ranker.groups.items(), 1):
            part = np.zeros(len(features))
            part[head] = odds[0] - odds[number]
            contributions[group] = part
            values[group] = features[:, members[0]].astype(np.float64)
        return Scored(scored.columns, scored.scores, values, contributions)

    async def _run(self, ranker: LearnedRanker, features: Matrix, weights: Doubles) -> tuple[Doubles, Doubles | None]:
        """Log-odds, and amounts where the ranker foretells them."""
        if not len(features):
            return np.empty(0), np.empty(0) if ranker.foretells_amounts else None
        if time.monotonic() < self._closed_until:
            raise Unavailable("triton", metadata={"detail": "it failed a moment ago"})
        try:
            outputs = await self._runner.run(ranker.graph, {"features": features})
        except MercatoError:
            self._closed_until = time.monotonic() + PAUSE_SECONDS
            raise
        chances = np.clip(outputs[0].astype(np.float64) @ weights, SMALLEST, 1.0 - SMALLEST)
        amounts = None
        if ranker.foretells_amounts:
            amounts = np.maximum(outputs[1][:, 0].astype(np.float64), SMALLEST)
        return np.asarray(np.log(chances / (1.0 - chances))), amounts
