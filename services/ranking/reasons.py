"""Says why, in a sentence that a customer understands."""

from __future__ import annotations

from collections.abc import Sequence

from services.ranking.domain import Reason, ReasonCode
from shared.features.blend import Scored
from shared.features.columns import Channel
from shared.naming.category_path import leaf_of

DUE = 0.7
LEAST_FOR_INTERVAL = 3

_BY_FEATURE = {
    "own_baskets": ReasonCode.BOUGHT_OFTEN,
    "renewal": ReasonCode.BUY_AGAIN_DUE,
    "repurchase": ReasonCode.BOUGHT_OFTEN,
    "neighbours": ReasonCode.BOUGHT_TOGETHER,
    "leaf_demand": ReasonCode.MATCHES_INTEREST,
    "momentum_7": ReasonCode.TRENDING,
    "trend": ReasonCode.TRENDING,
    "interval": ReasonCode.POPULAR,
    "popularity_112": ReasonCode.POPULAR,
    "popularity_56": ReasonCode.POPULAR,
    "browsed": ReasonCode.MATCHES_INTEREST,
    "cold_content": ReasonCode.SIMILAR,
    "freshness": ReasonCode.NEW,
    "query": ReasonCode.MATCHES_QUERY,
    # Groups of the learned ranker's features.
    "buy again": ReasonCode.BOUGHT_OFTEN,
    "bought together": ReasonCode.BOUGHT_TOGETHER,
    "behaviour": ReasonCode.CHOSEN_NEXT,
    "interest": ReasonCode.MATCHES_INTEREST,
    "popularity": ReasonCode.POPULAR,
    "content": ReasonCode.SIMILAR,
    "new": ReasonCode.NEW,
}
_CHANNELS = {
    ReasonCode.BUY_AGAIN_DUE: Channel.BUY_AGAIN,
    ReasonCode.BOUGHT_OFTEN: Channel.BUY_AGAIN,
    ReasonCode.BOUGHT_TOGETHER: Channel.BOUGHT_TOGETHER,
    ReasonCode.SIMILAR: Channel.SIMILAR_TO_RECENT,
    ReasonCode.MATCHES_INTEREST: Channel.POPULAR_IN_CATEGORY,
    ReasonCode.TRENDING: Channel.TRENDING,
    ReasonCode.NEW: Channel.NEW,
    ReasonCode.POPULAR: Channel.POPULAR,
    ReasonCode.MATCHES_QUERY: Channel.SEMANTIC,
    ReasonCode.CHOSEN_NEXT: Channel.BEHAVIOUR,
}


class Reasoner:
    """Reasons of one answer."""

    def __init__(self, scored: Scored, seeds: Sequence[str]) -> None:
        self._scored = scored
        self._pairs = scored.columns.people.pairs
        self._seeds = seeds
        self._parts = [(name, part) for name, part in scored.contributions.items() if name in _BY_FEATURE]

    def reason(self, index: int) -> Reason:
        """The reason of one candidate: bought before says so; otherwise the largest contribution decides."""
        own = int(self._scored.columns.own[index])
        if own >= 0 and self._scored.columns.candidates.query_scores is None:
            return self._own(own)
        code = self._strongest(index)
        if code is ReasonCode.BOUGHT_TOGETHER:
            return self._together(index)
        return Reason(code, self._text(code, index))

    def channel(self, index: int, reason: Reason) -> Channel:
        """The channel that fits the reason, if it brought the candidate; else the first that did."""
        mask = int(self._scored.columns.candidates.channel_masks[index])
        fitting = _CHANNELS[reason.code]
        if not mask or mask >> fitting & 1:
            return fitting
        return next(channel for channel in Channel if mask >> channel & 1) if mask >> 1 else fitting

    def _own(self, own: int) -> Reason:
        count, last_days = int(self._pairs.counts[own]), float(self._pairs.last_days[own])
        if count >= LEAST_FOR_INTERVAL:
            every = float(self._pairs.span_days[own]) / (count - 1)
            if every >= 1.0 and last_days >= DUE * every:
                text = f"You buy this about every {_days(round(every))}; the last time was {_ago(round(last_days))}"
                return Reason(ReasonCode.BUY_AGAIN_DUE, text)
        if count > 1:
            text = f"You bought this {count} times; the last time was {_ago(round(last_days))}"
            return Reason(ReasonCode.BOUGHT_OFTEN, text)
        return Reason(ReasonCode.BOUGHT_OFTEN, f"You bought this {_ago(round(last_days))}")

    def _strongest(self, index: int) -> ReasonCode:
        best, code = 0.0, ReasonCode.POPULAR
        for name, part in self._parts:
            if part[index] > best:
                best, code = float(part[index]), _BY_FEATURE[name]
        return code

    def _together(self, index: int) -> Reason:
        seed = int(self._scored.columns.candidates.neighbour_seeds[index])
        if not 0 <= seed < len(self._seeds):
            return Reason(ReasonCode.BOUGHT_TOGETHER, "Bought by people with purchases like yours")
        return Reason(ReasonCode.BOUGHT_TOGETHER, "Bought by people with purchases like yours", self._seeds[seed])

    def _text(self, code: ReasonCode, index: int) -> str:
        candidates = self._scored.columns.candidates
        leaf = leaf_of(candidates.category_names[candidates.categories[index]])
        place = f" in {leaf}" if leaf else ""
        return {
            ReasonCode.MATCHES_INTEREST: f"Fits your interest{place}",
            ReasonCode.TRENDING: f"Trending{place}",
            ReasonCode.NEW: "New in the shop",
            ReasonCode.SIMILAR: "Similar to what you looked at lately",
            ReasonCode.MATCHES_QUERY: "Matches your search",
            ReasonCode.CHOSEN_NEXT: "Often chosen next by people who did the same",
        }.get(code, f"Popular{place}")


def _days(days: int) -> str:
    return "day" if days <= 1 else f"{days} days"


def _ago(days: int) -> str:
    return "today" if days <= 0 else "yesterday" if days == 1 else f"{days} days ago"
