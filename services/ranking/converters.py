"""Between the contract and the domain. Pure functions; contract messages stop here."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from mercato.gateway.v1 import recommendation_pb2, user_event_pb2
from mercato.profile.v1 import profile_features_pb2
from mercato.ranking.v1 import ranking_service_pb2 as pb
from mercato.retrieval.v1 import candidates_pb2

from services.ranking.domain import Placement, RankCommand, RankedCandidate
from services.ranking.errors import UnequalColumns, UnknownName
from services.ranking.rank import Ranking
from shared.features.columns import Candidates, Doubles, History, Longs

COLUMNS = (
    "category_indexes",
    "brand_indexes",
    "channel_masks",
    "neighbour_scores",
    "neighbour_seeds",
    "content_scores",
    "publish_times_s",
)
BROWSING = frozenset(
    {
        user_event_pb2.USER_EVENT_TYPE_PRODUCT_VIEW,
        user_event_pb2.USER_EVENT_TYPE_CLICK,
        user_event_pb2.USER_EVENT_TYPE_ADD_TO_CART,
        user_event_pb2.USER_EVENT_TYPE_ADD_TO_WISH_LIST,
    }
)


def command_from_proto(request: pb.RankRequest) -> RankCommand:
    """Reads a request. Raises UnequalColumns, UnknownName."""
    context = request.context
    present = [context.product_id] if context.product_id else []
    now_s = request.rank_time.ToNanoseconds() / 1e9 if request.HasField("rank_time") else time.time()
    return RankCommand(
        candidates=candidates_from_proto(request.candidates, request.query_scores),
        history=history_from_proto(request.profile),
        now_s=now_s,
        limit=request.limit,
        placement=Placement(request.placement or Placement.HOME),
        diversity=request.diversity if request.HasField("diversity") else None,
        explain=request.explain,
        excluded=frozenset([*request.excluded_product_ids, *context.cart_product_ids, *present]),
        only_new=request.exclude_purchased,
        seed_product_ids=request.seed_product_ids,
        release_id=request.release_id,
        revenue_weight=request.revenue_weight if request.HasField("revenue_weight") else None,
        by_blend=request.orderer == pb.ORDERER_BLEND,
    )


def candidates_from_proto(message: candidates_pb2.CandidateColumns, query_scores: Sequence[float]) -> Candidates:
    """Reads columns. Raises UnequalColumns, UnknownName."""
    count = len(message.product_ids)
    for name in COLUMNS:
        found = len(getattr(message, name))
        if found != count:
            raise UnequalColumns(name, found, count)
    optional = {name: getattr(message, name) for name in ("behaviour_scores", "prices")}
    for name, column in {**optional, "query_scores": query_scores}.items():
        if column and len(column) != count:
            raise UnequalColumns(name, len(column), count)
    return Candidates(
        product_ids=tuple(message.product_ids),
        category_names=tuple(message.category_names),
        categories=_positions(message.category_indexes, len(message.category_names), "category_indexes"),
        brand_names=tuple(message.brand_names),
        brands=_positions(message.brand_indexes, len(message.brand_names), "brand_indexes"),
        channel_masks=np.array(message.channel_masks, dtype=np.int64),
        neighbour_scores=np.array(message.neighbour_scores, dtype=np.float64),
        neighbour_seeds=np.array(message.neighbour_seeds, dtype=np.int64),
        content_scores=np.array(message.content_scores, dtype=np.float64),
        publish_times_s=np.array(message.publish_times_s, dtype=np.int64),
        query_scores=_optional(query_scores),
        behaviour_scores=_optional(message.behaviour_scores),
        prices=_optional(message.prices),
    )


def _optional(column: Sequence[float]) -> Doubles | None:
    """None for an empty column: it is not known of any."""
    return np.array(column, dtype=np.float64) if column else None


def history_from_proto(message: profile_features_pb2.ProfileFeatures) -> History:
    """Reads what a person did."""
    purchases, recent = message.purchases, message.recent
    browsed: dict[str, float] = {}
    for product_id, kind, time_s in zip(recent.product_ids, recent.event_types, recent.event_times_s, strict=True):
        if kind in BROWSING:
            browsed[product_id] = max(browsed.get(product_id, 0.0), float(time_s))
    return History(
        product_ids=tuple(purchases.product_ids),
        category_names=tuple(purchases.category_names),
        categories=np.array(purchases.category_indexes, dtype=np.int64),
        product_indexes=np.array(purchases.product_indexes, dtype=np.int64),
        times_s=np.array(purchases.purchase_times_s, dtype=np.int64),
        baskets=np.array(purchases.basket_indexes, dtype=np.int64),
        browsed=browsed,
    )


def ranking_to_proto(ranking: Ranking) -> pb.RankResponse:
    """Writes an order."""
    return pb.RankResponse(
        products=[ranked_to_proto(item) for item in ranking.products],
        release_id=ranking.release_id,
        orderer=pb.ORDERER_LEARNED if ranking.learned else pb.ORDERER_BLEND,
        fallback_cause=ranking.fallback_cause,
        amount_fallback_cause=ranking.amount_cause,
    )


def _positions(indexes: Sequence[int], size: int, column: str) -> Longs:
    """Positions in a list of `size` names. Raises UnknownName."""
    positions = np.array(indexes, dtype=np.int64)
    wrong = np.flatnonzero((positions < 0) | (positions >= size))
    if len(wrong):
        raise UnknownName(column, int(wrong[0]), int(positions[wrong[0]]), size)
    return positions


def ranked_to_proto(ranked: RankedCandidate) -> pb.RankedCandidate:
    """Writes one product in its place."""
    reason = ranked.reason
    return pb.RankedCandidate(
        product_id=ranked.product_id,
        score=ranked.score,
        channel=recommendation_pb2.Channel.ValueType(ranked.channel),
        reason=recommendation_pb2.Reason(
            code=recommendation_pb2.ReasonCode.ValueType(reason.code),
            text=reason.text,
            related_product_id=reason.related_product_id,
        ),
        contributions=[
            recommendation_pb2.FeatureContribution(
                feature=item.feature, value=item.value, contribution=item.contribution
            )
            for item in ranked.contributions
        ],
    )
