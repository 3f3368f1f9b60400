"""Orders candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.ranking import diversity, revenue, rules
from services.ranking.domain import Contribution, Placement, RankCommand, RankedCandidate
from services.ranking.learned import Learned
from services.ranking.ports import LearnedRanker, RankingReleases
from services.ranking.reasons import Reasoner
from shared.errors.base import MercatoError
from shared.features import blend
from shared.features.blend import Scored
from shared.features.columns import Doubles, Longs
from shared.features.joined import Columns, join
from shared.telemetry.metrics import counter

ORDERED = counter("ranking_orders_total", "Lists by what ordered them.", ("orderer",))


@dataclass(frozen=True, slots=True)
class Ranking:
    """An order, and how it came about."""

    products: list[RankedCandidate]
    release_id: str
    """Empty: none was used."""
    learned: bool
    """Whether the release's ranker made the order."""
    fallback_cause: str = ""
    amount_cause: str = ""
    """Why amounts are not the ranker's. Empty: they are, or do not count."""


class Rank:
    """Scores, filters, spreads and explains."""

    def __init__(
        self, releases: RankingReleases, learned: Learned, revenue_weights: Mapping[Placement, float] | None = None
    ) -> None:
        """`revenue_weights` are those of placements where a command names none; 0 where nothing is said."""
        self._releases = releases
        self._learned = learned
        self._revenue_weights = revenue_weights or {}

    async def __call__(self, tenant: str, command: RankCommand) -> Ranking:
        """Orders by the release's ranker; by the blend where there is none or it fails, in a search, and if told to."""
        release = self._releases.of(tenant, command.release_id)
        statistics = release.statistics if release is not None else None
        columns = join(command.candidates, statistics, command.history, command.now_s)
        by_ranker = command.candidates.query_scores is None and not command.by_blend
        ranker = release.ranker if release is not None and by_ranker else None
        shown, cause = np.flatnonzero(rules.allowed(command, columns.known)), ""
        release_id = statistics.release_id if statistics is not None else ""
        if ranker is not None:
            try:
                return await self._by_ranker(ranker, columns, command, shown)
            except MercatoError as error:
                cause = str(error)
        scored, amount_cause = _by_revenue(blend.score(columns), None, self._weight(command))
        ORDERED.labels("blend" if ranker is None else "fallback").inc()
        products = _described(scored, command, _order(command, scored, shown))
        return Ranking(products, release_id, learned=False, fallback_cause=cause, amount_cause=amount_cause)

    async def _by_ranker(self, ranker: LearnedRanker, columns: Columns, command: RankCommand, shown: Longs) -> Ranking:
        weight = self._weight(command)
        found = await self._learned.score(ranker, columns, shown, weight)
        scored, amount_cause = _by_revenue(found.scored, found.amounts, weight)
        order = _order(command, scored, shown)
        scored = await self._learned.explain(ranker, found, scored, np.array(order, np.int64))
        ORDERED.labels("learned").inc()
        assert columns.statistics is not None
        products, release_id = _described(scored, command, order), columns.statistics.release_id
        return Ranking(products, release_id, learned=True, amount_cause=amount_cause)

    def _weight(self, command: RankCommand) -> float:
        """How much amounts count: not at all in a search, whose scores are no log-odds."""
        if command.candidates.query_scores is not None:
            return 0.0
        if command.revenue_weight is not None:
            return command.revenue_weight
        return self._revenue_weights.get(command.placement, 0.0)


def _by_revenue(scored: Scored, foretold: Doubles | None, weight: float) -> tuple[Scored, str]:
    """The scores by revenue, and why amounts are not the ranker's; as they are where amounts do not count."""
    if weight == 0.0:
        return scored, ""
    amounts = revenue.amounts_of(scored.columns.candidates, foretold)
    return revenue.weighted(scored, amounts, weight), amounts.cause


def _order(command: RankCommand, scored: Scored, shown: Longs) -> list[int]:
    candidates = command.candidates
    wanted = diversity.DEFAULTS[command.placement] if command.diversity is None else command.diversity
    order = _head(scored.scores, shown, candidates.product_ids, diversity.CONSIDERED * command.limit)
    taken: list[int] = diversity.spread(scored.scores, order, candidates, command.limit, wanted).tolist()
    return taken


def _described(scored: Scored, command: RankCommand, order: Sequence[int]) -> list[RankedCandidate]:
    reasoner = Reasoner(scored, command.seed_product_ids)
    return [_explained(scored, reasoner, index, explain=command.explain) for index in order]


def _explained(scored: Scored, reasoner: Reasoner, index: int, *, explain: bool) -> RankedCandidate:
    reason = reasoner.reason(index)
    contributions: tuple[Contribution, ...] = ()
    if explain:
        parts = [
            Contribution(name, float(scored.values[name][index]) if name in scored.values else 1.0, float(part[index]))
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
