"""What stands in for a missing stage of an answer with products. See docs/degradation.md."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mercato.gateway.v1 import recommendation_pb2
from mercato.retrieval.v1 import candidates_pb2

from services.gateway.answers import CHANNELS, Ranked
from services.gateway.lists import ReleaseLists
from services.gateway.seeds import Seeds

RANK_OFFSET = 60.0
"""Of reciprocal rank fusion (Cormack, Clarke & Büttcher 2009)."""
Channel = recommendation_pb2.Channel


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which products may stand in."""

    excluded: Collection[str]
    only: Collection[str] | None = None
    """None: any product."""
    categories: Sequence[str] = ()
    """Any of them; empty: all."""

    def allows(self, product_id: str) -> bool:
        """As far as the id tells."""
        return product_id not in self.excluded and (self.only is None or product_id in self.only)


def by_retrieval(
    columns: candidates_pb2.CandidateColumns, seeds: Seeds, lists: ReleaseLists, wanted: Wanted
) -> list[Ranked]:
    """Candidates in the order of the signals that retrieval gave with them, when nothing ranks.

    Signals are orders of their own: what was bought before (the latest first), neighbours, behaviour, content,
    popularity. Their reciprocal ranks are added up.
    """
    ids = columns.product_ids
    orders = [
        seeds.purchased_first(),
        *(
            _order(ids, scores)
            for scores in (columns.neighbour_scores, columns.behaviour_scores, columns.content_scores)
        ),
        lists.popular,
    ]
    scores = dict.fromkeys(ids, 0.0)
    for order in orders:
        for place, product_id in enumerate([one for one in order if one in scores]):
            scores[product_id] += 1.0 / (RANK_OFFSET + place)
    masks = dict(zip(ids, columns.channel_masks, strict=True))
    ranked = sorted(filter(wanted.allows, ids), key=lambda one: (-scores[one], one))
    return [_with_channels(one, scores[one], masks[one]) for one in ranked]


def _order(ids: Sequence[str], scores: Sequence[float]) -> list[str]:
    """Products with a score above 0, best first; empty where the signal is not known."""
    scored = sorted((-score, product_id) for product_id, score in zip(ids, scores, strict=False) if score > 0.0)
    return [product_id for _, product_id in scored]


def _with_channels(product_id: str, score: float, mask: int) -> Ranked:
    channels = tuple(channel for channel in CHANNELS if mask >> channel & 1)
    plain = Ranked.simple(product_id, channels[0] if channels else Channel.CHANNEL_POPULAR, score)
    return Ranked(product_id, score, plain.channel, channels or plain.channels, plain.reason)


def from_lists(seeds: Seeds, lists: ReleaseLists, wanted: Wanted) -> list[Ranked]:
    """Bought before, bought together with it, popular: what the gateway keeps itself, when retrieval is away."""
    together = lists.bought_together(zip(seeds.product_ids, seeds.weights, strict=True))
    parts = (
        (seeds.purchased_first(), Channel.CHANNEL_BUY_AGAIN),
        (together, Channel.CHANNEL_BOUGHT_TOGETHER),
        (popular(lists, wanted.categories), Channel.CHANNEL_POPULAR),
    )
    found: dict[str, Ranked] = {}
    for product_ids, channel in parts:
        for product_id in product_ids:
            if product_id not in found and wanted.allows(product_id):
                found[product_id] = Ranked.simple(product_id, channel, -float(len(found)))
    return list(found.values())


def popular(lists: ReleaseLists, categories: Sequence[str] = ()) -> list[str]:
    """Popular products, of the categories where some are named, best first."""
    if not categories:
        return list(lists.popular)
    orders = [lists.popular_in.get(category, ()) for category in categories]
    if len(orders) == 1:
        return list(orders[0])
    places = {one: min(o.index(one) for o in orders if one in o) for order in orders for one in order}
    return sorted(places, key=lambda one: (places[one], one))


def similar_from_lists(product_id: str, categories: Sequence[str], lists: ReleaseLists) -> list[Ranked]:
    """Neighbours of a product, then what is popular in its categories, the narrowest first."""
    found = {
        neighbour: Ranked.simple(neighbour, Channel.CHANNEL_BOUGHT_TOGETHER, weight)
        for neighbour, weight in lists.neighbours.get(product_id, ())
    }
    for category in reversed(categories):
        for one in lists.popular_in.get(category, ()):
            if one != product_id and one not in found:
                found[one] = Ranked.simple(one, Channel.CHANNEL_POPULAR_IN_CATEGORY, 0.0)
    return list(found.values())
