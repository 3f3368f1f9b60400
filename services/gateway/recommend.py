"""Recommend: profile, candidates, order, products. While anything useful can be said it is never an error."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from mercato.encoder.v1 import encoder_service_pb2
from mercato.gateway.v1 import product_pb2, recommendation_pb2
from mercato.gateway.v1 import recommendation_service_pb2 as pb
from mercato.profile.v1 import profile_features_pb2
from mercato.ranking.v1 import ranking_service_pb2
from mercato.retrieval.v1 import retrieval_service_pb2

from services.gateway.answers import Ranked
from services.gateway.experiments import Plan
from services.gateway.hydration import can_check, narrowed, shows
from services.gateway.ladder import Wanted, by_retrieval, from_lists
from services.gateway.lists import ReleaseLists
from services.gateway.pipeline import Pipeline
from services.gateway.seeds import Seeds, behaviour_rows, build_seeds
from services.gateway.shadows import Shadows
from services.gateway.stages import Stages
from shared.context.request import current_tenant, use_deadline

Placement = pb.Placement
DEFAULT_SIZE, LARGEST_SIZE = 10, 100
# Fewest candidates asked of a channel: more do not change the head of the list. docs/quality.md.
CHANNEL_SIZE, BUY_AGAIN_SIZE = 60, 250
# Ordered products beyond the page, to fill the places of deleted and sold-out ones.
SPARE, MOST_PLACES = 20, 500
# Each stage may take this share of the request's time.
PROFILE_SHARE, BEHAVIOUR_SHARE, RETRIEVAL_SHARE, RANKING_SHARE, CATALOG_SHARE = 0.25, 0.15, 0.45, 0.25, 0.25
NO_RELEASE = "none"
"""The id of no release: retrieval used none, so ranking must not use its own."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A request, its defaults filled in."""

    request: pb.RecommendRequest
    placement: Placement.ValueType
    size: int
    places: int
    """Products to order: more than the page, so that those which may not be shown leave no gap."""
    only_new: bool
    excluded: tuple[str, ...]
    filter: product_pb2.ProductFilter
    plan: Plan


class Recommend:
    """The pipeline and its ladder: each missing stage is replaced by something simpler."""

    def __init__(self, pipeline: Pipeline, seconds: float) -> None:
        self._stubs = pipeline.stubs
        self._hydrator = pipeline.hydrator
        self._profiles = pipeline.profiles
        self._releases = pipeline.releases
        self._choose = pipeline.choose
        self._answerer = pipeline.answerer
        self._seconds = seconds
        self._shadows = Shadows()

    async def __call__(self, request: pb.RecommendRequest) -> pb.RecommendResponse:
        """Answers; raises only when the caller left."""
        plan, choice = self._choose(_kind(request.placement), request, _stated(request))
        wish = _wish(_planned(request, plan), plan)
        answer = await self._answer(wish, choice.release_id)
        if choice.shadow:
            self._shadows.compare(answer, lambda: self._answer(wish, choice.shadow))
        return answer

    async def _answer(self, wish: Wish, chosen: str) -> pb.RecommendResponse:
        """Answers by one release; an empty one leaves the choice to retrieval, and the others follow it."""
        request, stages = wish.request, Stages()
        with use_deadline(self._seconds):
            features = await self._profiles.read(
                request.user_id, request.visitor_id, stages, self._seconds * PROFILE_SHARE
            )
            seeds = build_seeds(features, request.context, wish.placement, time.time())
            lists = self._releases.lists(current_tenant(), chosen)
            vector = await self._vector(features, lists, stages) if chosen else b""
            found = await self._candidates(wish, seeds, (chosen, vector), stages)
            release_id = found.release_id if found is not None else lists.release_id
            ranked = await self._order(wish, features, seeds, found, stages)
            if ranked is None:
                ranked = _stand_ins(found, wish, seeds, lists, stages)
            results = await self._products(wish, ranked, seeds, stages)
        if not release_id:
            cause = f"{chosen} is not held" if chosen else "no release was trained"
            stages.note(recommendation_pb2.STAGE_RELEASE, cause)
        shown = [result.product.product_id for result in results]
        token = self._answerer.token(_kind(wish.placement), release_id, shown, exposures=wish.plan.exposures)
        return pb.RecommendResponse(
            results=results, attribution_token=token, missing_stages=stages.missing, release_id=release_id
        )

    async def _vector(
        self, features: profile_features_pb2.ProfileFeatures | None, lists: ReleaseLists, stages: Stages
    ) -> bytes:
        """The person's vector by the release's behaviour model; empty: it has none, or the person is not known."""
        rows = behaviour_rows(features) if lists.encodes_behaviour else None
        if rows is None:
            return b""
        request = encoder_service_pb2.EncodeBehaviourRequest(
            release_id=lists.release_id,
            product_ids=rows.product_ids,
            event_types=rows.kinds,
            event_times_s=rows.times_s,
        )
        response = await stages.run(
            recommendation_pb2.STAGE_BEHAVIOUR,
            self._seconds * BEHAVIOUR_SHARE,
            lambda: self._stubs.encoder.EncodeBehaviour(request),
        )
        return response.user_vector if response is not None else b""

    async def _candidates(
        self, wish: Wish, seeds: Seeds, by: tuple[str, bytes], stages: Stages
    ) -> retrieval_service_pb2.FindCandidatesResponse | None:
        only_bought = wish.placement == Placement.PLACEMENT_BUY_AGAIN
        request = retrieval_service_pb2.FindCandidatesRequest(
            seeds=seeds.to_proto(),
            exclude_bought=wish.only_new,
            categories=seeds.categories,
            filter=wish.filter,
            excluded_product_ids=wish.excluded,
            channels=[recommendation_pb2.CHANNEL_BUY_AGAIN] if only_bought else (),
            channel_size=max(CHANNEL_SIZE, wish.size + SPARE),
            buy_again_size=max(BUY_AGAIN_SIZE, wish.size + SPARE),
            release_id=by[0],
            user_vector=by[1],
        )
        found = await stages.run(
            recommendation_pb2.STAGE_RETRIEVAL,
            self._seconds * RETRIEVAL_SHARE,
            lambda: self._stubs.retrieval.FindCandidates(request),
        )
        for failed in found.failed_channels if found is not None else ():
            if failed.channel == recommendation_pb2.CHANNEL_SIMILAR_TO_RECENT:
                stages.note(recommendation_pb2.STAGE_VECTOR_INDEX, failed.cause)
            elif failed.channel == recommendation_pb2.CHANNEL_BEHAVIOUR:
                stages.note(recommendation_pb2.STAGE_BEHAVIOUR, failed.cause)
        return found

    async def _order(
        self,
        wish: Wish,
        features: profile_features_pb2.ProfileFeatures | None,
        seeds: Seeds,
        found: retrieval_service_pb2.FindCandidatesResponse | None,
        stages: Stages,
    ) -> list[Ranked] | None:
        if found is None or not found.candidates.product_ids:
            return None
        request = ranking_service_pb2.RankRequest(
            profile=features,
            candidates=found.candidates,
            seed_product_ids=seeds.product_ids,
            context=wish.request.context,
            placement=wish.placement,
            limit=wish.places,
            explain=wish.request.explain,
            excluded_product_ids=wish.excluded,
            exclude_purchased=wish.only_new,
            release_id=found.release_id or NO_RELEASE,
            orderer=wish.plan.orderer,
        )
        if wish.request.HasField("diversity"):
            request.diversity = wish.request.diversity
        if wish.request.HasField("revenue_weight"):
            request.revenue_weight = wish.request.revenue_weight
        response = await stages.run(
            recommendation_pb2.STAGE_RANKING, self._seconds * RANKING_SHARE, lambda: self._stubs.ranking.Rank(request)
        )
        if response is None:
            return None
        if response.fallback_cause:
            stages.note(recommendation_pb2.STAGE_LEARNED_RANKER, response.fallback_cause)
            stages.stand_in(recommendation_pb2.STAGE_LEARNED_RANKER, recommendation_pb2.SUBSTITUTE_BLEND)
        if response.amount_fallback_cause:
            stages.note(recommendation_pb2.STAGE_EXPECTED_AMOUNT, response.amount_fallback_cause)
            stages.stand_in(recommendation_pb2.STAGE_EXPECTED_AMOUNT, recommendation_pb2.SUBSTITUTE_PRICE)
        masks = dict(zip(found.candidates.product_ids, found.candidates.channel_masks, strict=True))
        return [Ranked.from_proto(item, masks.get(item.product_id, 0)) for item in response.products]

    async def _products(
        self, wish: Wish, ranked: Sequence[Ranked], seeds: Seeds, stages: Stages
    ) -> list[recommendation_pb2.RankedProduct]:
        """Fills the page; a second read makes up for many products that are gone."""
        results: list[recommendation_pb2.RankedProduct] = []
        request = wish.request
        step = max(wish.size + SPARE, wish.places // 4)
        for start in range(0, min(len(ranked), 4 * step), step):
            part = ranked[start : start + step]
            ids = [item.product_id for item in part]
            related = [item.reason.related_product_id for item in part if item.reason.related_product_id]
            products = await self._hydrator.read([*ids, *related], stages, self._seconds * CATALOG_SHARE)
            for item in part:
                product = products.get(item.product_id)
                if product is None or len(results) == wish.size:
                    continue
                if shows(product, request.filter, request.context.category):
                    results.append(_named(item.to_proto(product), products))
            if len(results) >= wish.size:
                break
        return results


def _kind(placement: Placement.ValueType) -> str:
    """The kind of list, as attribution tokens name it."""
    return Placement.Name(placement or Placement.PLACEMENT_HOME).removeprefix("PLACEMENT_").lower()


def _stated(request: pb.RecommendRequest) -> list[str]:
    """Parameters of experiments that a request fixes itself."""
    named = [name for name in ("diversity", "revenue_weight") if request.HasField(name)]
    return [*named, *(["exclude_purchased"] if request.exclude_purchased else [])]


def _planned(request: pb.RecommendRequest, plan: Plan) -> pb.RecommendRequest:
    """The request as experiments change it."""
    if not plan.exposures:
        return request
    made = pb.RecommendRequest()
    made.CopyFrom(request)
    for name in ("diversity", "revenue_weight", "exclude_purchased"):
        if plan.parameters.HasField(name):
            setattr(made, name, getattr(plan.parameters, name))
    if not plan.personalized:
        made.ClearField("user_id")
        made.ClearField("visitor_id")
    return made


def _wish(request: pb.RecommendRequest, plan: Plan) -> Wish:
    placement = request.placement or Placement.PLACEMENT_HOME
    context = request.context
    size = min(request.page_size or DEFAULT_SIZE, LARGEST_SIZE)
    two_conditions = bool(context.category and request.filter.categories)
    return Wish(
        request=request,
        placement=placement,
        size=size,
        places=MOST_PLACES if two_conditions else size + SPARE,
        only_new=request.exclude_purchased or placement == Placement.PLACEMENT_DISCOVER,
        excluded=tuple(dict.fromkeys([*filter(None, [context.product_id]), *context.cart_product_ids])),
        filter=narrowed(request.filter, context.category),
        plan=plan,
    )


def _named(
    result: recommendation_pb2.RankedProduct, products: dict[str, product_pb2.Product]
) -> recommendation_pb2.RankedProduct:
    """Names the product that a reason refers to; ranking knows titles of candidates alone."""
    related = products.get(result.reason.related_product_id)
    if result.reason.code == recommendation_pb2.REASON_CODE_BOUGHT_TOGETHER and related is not None and related.title:
        result.reason.text = f"Bought by people who buy {related.title}"
    return result


def _stand_ins(
    found: retrieval_service_pb2.FindCandidatesResponse | None,
    wish: Wish,
    seeds: Seeds,
    lists: ReleaseLists,
    stages: Stages,
) -> list[Ranked]:
    """Without an order: retrieval's candidates by its own signals; without candidates: lists from memory."""
    only_bought = wish.placement == Placement.PLACEMENT_BUY_AGAIN
    categories = [wish.request.context.category] if wish.request.context.category else wish.request.filter.categories
    wanted = Wanted(
        excluded={*wish.excluded, *(seeds.purchased if wish.only_new else ())},
        only=frozenset(seeds.purchased) if only_bought else None,
        categories=categories,
    )
    unrestricted = not wish.request.HasField("filter") and not categories and not only_bought
    if found is not None and not found.candidates.product_ids and unrestricted and lists.popular:
        stages.note(recommendation_pb2.STAGE_RETRIEVAL, "no candidates")  # an index that was lost is filled again
    elif found is not None:
        stages.stand_in(recommendation_pb2.STAGE_RANKING, recommendation_pb2.SUBSTITUTE_RETRIEVAL_ORDER)
        return by_retrieval(found.candidates, seeds, lists, wanted)
    stages.stand_in(recommendation_pb2.STAGE_RETRIEVAL, recommendation_pb2.SUBSTITUTE_LISTS)
    return from_lists(seeds, lists, wanted) if can_check(wish.request.filter) else []
