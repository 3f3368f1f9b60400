"""Orders candidates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.ranking import blend, diversity, rules
from services.ranking.domain import Contribution, Doubles, Longs, RankCommand, RankedCandidate
from services.ranking.person import person_of
from services.ranking.ports import StatisticsSource
from services.ranking.reasons import Reasoner


class Rank:
    """Scores, filters, spreads and explains. Pure computation: it never waits."""

    def __init__(self, statistics: StatisticsSource) -> None:
        self._statistics = statistics

    def __call__(self, tenant: str, command: RankCommand) -> tuple[list[RankedCandidate], str]:
        """Returns the order and the release whose statistics were used (empty: none)."""
        statistics = self._statistics.of(tenant)
        person = person_of(command.history, command.now_s)
        scored = blend.score(command.candidates, statistics, person, command.history, command.now_s)
        order = self._order(command, scored)
        reasoner = Reasoner(scored, command.seed_product_ids)
        ranked = [self._explained(scored, reasoner, index, explain=command.explain) for index in order]
        return ranked, statistics.release_id if statistics is not None else ""

    @staticmethod
    def _order(command: RankCommand, scored: blend.Scored) -> list[int]:
        candidates = command.candidates
        shown = np.flatnonzero(rules.allowed(command, scored.columns.known))
        wanted = diversity.DEFAULTS[command.placement] if command.diversity is None else command.diversity
        order = _head(scored.scores, shown, candidates.product_ids, diversity.CONSIDERED * command.limit)
        taken: list[int] = diversity.spread(scored.scores, order, candidates, command.limit, wanted).tolist()
        return taken

    @staticmethod
    def _explained(scored: blend.Scored, reasoner: Reasoner, index: int, *, explain: bool) -> RankedCandidate:
        reason = reasoner.reason(index)
        contributions: tuple[Contribution, ...] = ()
        if explain:
            parts = [
                Contribution(
                    name, float(scored.values[name][index]) if name in scored.values else 1.0, float(part[index])
                )
                for name, part in scored.contributions.items()
                if part[index] != 0.0
            ]
            contributions = tuple(sorted(parts, key=lambda item: -abs(item.contribution)))
        product_id = scored.columns.candidates.product_ids[index]
        channel = reasoner.channel(index, reason)
        return RankedCandidate(product_id, float(scored.scores[index]), channel, reason, contributions)


def _head(scores: Doubles, shown: Longs, product_ids: Sequence[str], count: int) -> Longs:
    """The best `count` of `shown`, best first.

    Ties are broken by id, so that the order does not depend on how candidates arrived.
    """
    if len(shown) > count:
        worst = -np.partition(-scores[shown], count - 1)[count - 1]
        shown = shown[scores[shown] >= worst]  # with all that tie with the last one
    ids = [product_ids[place] for place in shown.tolist()]
    ranked = sorted(zip((-scores[shown]).tolist(), ids, shown.tolist(), strict=True))
    return np.array([place for _, _, place in ranked[:count]], np.int64)
