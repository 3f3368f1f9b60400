"""Search: the query's vector, candidates by meaning and words, the person's interests, products; page by page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from mercato.encoder.v1 import encoder_service_pb2
from mercato.gateway.v1 import recommendation_pb2
from mercato.gateway.v1 import search_service_pb2 as pb
from mercato.ranking.v1 import ranking_service_pb2
from mercato.retrieval.v1 import candidates_pb2, retrieval_service_pb2

from services.gateway.answers import Ranked
from services.gateway.hydration import can_check, narrowed, shows
from services.gateway.pipeline import Pipeline
from services.gateway.remembered_search import RememberedSearch
from services.gateway.stages import Stages
from shared.context.request import current_tenant, use_deadline
from shared.errors.base import Unavailable
from shared.pagination.token import decode_token, encode_token, hash_arguments

DEFAULT_SIZE, LARGEST_SIZE = 20, 100
REACHABLE = 500
ENCODER_SHARE, PROFILE_SHARE, RETRIEVAL_SHARE, RANKING_SHARE, CATALOG_SHARE = 0.3, 0.2, 0.5, 0.2, 0.25
NOT_IN_TOKEN = ("page_size", "page_token", "explain")


class Search:
    """The pipeline. The order of a query is made anew for each page at the time of the first, so pages fit together."""

    def __init__(self, pipeline: Pipeline, seconds: float) -> None:
        self._stubs = pipeline.stubs
        self._hydrator = pipeline.hydrator
        self._profiles = pipeline.profiles
        self._remembered = RememberedSearch(pipeline.hydrator)
        self._releases = pipeline.releases
        self._choose = pipeline.choose
        self._answerer = pipeline.answerer
        self._seconds = seconds

    async def __call__(self, request: pb.SearchRequest) -> pb.SearchResponse:
        """Answers. Raises InvalidArgument (page token), Unavailable (no way is left)."""
        arguments = hash_arguments(request, without=NOT_IN_TOKEN)
        cursor = decode_token(request.page_token, arguments)
        offset, time_s = int(cursor.get("offset") or 0), int(cursor.get("time") or time.time())
        size, stages = min(request.page_size or DEFAULT_SIZE, LARGEST_SIZE), Stages()
        plan, choice = self._choose("search", request)
        release_id = choice.release_id
        ids = (request.user_id, request.visitor_id) if plan.personalized else ("", "")
        with use_deadline(self._seconds):
            encoded, features = await asyncio.gather(
                self._encode(request, stages), self._profiles.read(*ids, stages, self._seconds * PROFILE_SHARE)
            )
            found = await self._find(request, encoded, release_id, stages)
            order = ranking_service_pb2.RankRequest(
                profile=features, rank_time=Timestamp(seconds=time_s), release_id=release_id
            )
            if found is None:
                ranked = await self._from_memory(request, release_id, stages)
            else:
                ranked = await self._order(request, order, found, stages)
            results, consumed = await self._page(request, ranked[offset:REACHABLE], size, stages)
        after = offset + consumed
        token = (
            encode_token({"offset": after, "time": time_s}, arguments) if after < min(len(ranked), REACHABLE) else ""
        )
        shown = [result.product.product_id for result in results]
        return pb.SearchResponse(
            results=results,
            next_page_token=token,
            attribution_token=self._answerer.token("search", release_id, shown, offset, plan.exposures),
            missing_stages=stages.missing,
        )

    async def _encode(
        self, request: pb.SearchRequest, stages: Stages
    ) -> encoder_service_pb2.EncodeTextsResponse | None:
        if not request.query.strip():
            return None
        texts = encoder_service_pb2.EncodeTextsRequest(texts=[request.query])
        return await stages.run(
            recommendation_pb2.STAGE_ENCODER,
            self._seconds * ENCODER_SHARE,
            lambda: self._stubs.encoder.EncodeTexts(texts),
        )

    async def _find(
        self,
        request: pb.SearchRequest,
        encoded: encoder_service_pb2.EncodeTextsResponse | None,
        release_id: str,
        stages: Stages,
    ) -> list[retrieval_service_pb2.ScoredProduct] | None:
        """None: retrieval is missing."""
        wanted = retrieval_service_pb2.SearchProductsRequest(
            vector=encoded.vectors[0].components if encoded else b"",
            model_release=encoded.model_release if encoded else "",
            query=request.query.strip(),
            filter=narrowed(request.filter, request.context.category),
            limit=REACHABLE,
            release_id=release_id,
        )
        response = await stages.run(
            recommendation_pb2.STAGE_RETRIEVAL,
            self._seconds * RETRIEVAL_SHARE,
            lambda: self._stubs.retrieval.SearchProducts(wanted),
        )
        if response is None:
            return None
        for failed in response.failed_channels:
            stages.note(recommendation_pb2.STAGE_VECTOR_INDEX, failed.cause)
        for stage in (recommendation_pb2.STAGE_ENCODER, recommendation_pb2.STAGE_VECTOR_INDEX):
            stages.stand_in(stage, recommendation_pb2.SUBSTITUTE_WORDS)
        return list(response.products)

    async def _from_memory(self, request: pb.SearchRequest, release_id: str, stages: Stages) -> list[Ranked]:
        """Raises Unavailable when nothing is remembered."""
        tenant = current_tenant()
        filter_ = narrowed(request.filter, request.context.category)
        lists = self._releases.lists(tenant, release_id)
        found: list[Ranked] = []
        if can_check(filter_):
            found = await self._remembered.find(tenant, request.query.strip(), filter_, lists)
        if not found:
            raise Unavailable("retrieval")
        stages.stand_in(recommendation_pb2.STAGE_RETRIEVAL, recommendation_pb2.SUBSTITUTE_REMEMBERED_SEARCH)
        return found

    async def _order(
        self,
        request: pb.SearchRequest,
        order: ranking_service_pb2.RankRequest,
        found: Sequence[retrieval_service_pb2.ScoredProduct],
        stages: Stages,
    ) -> list[Ranked]:
        """`order` holds the person, the moment and the release."""
        plain = [_ranked(item) for item in found]
        if not order.HasField("profile") or not found or not request.query.strip():
            return plain
        best = max(item.score for item in found) or 1.0
        wanted = ranking_service_pb2.RankRequest(
            profile=order.profile,
            candidates=_columns(found),
            limit=min(len(found), REACHABLE),
            diversity=0.0,
            explain=request.explain,
            rank_time=order.rank_time,
            release_id=order.release_id,
            query_scores=[item.score / best for item in found],
        )
        response = await stages.run(
            recommendation_pb2.STAGE_RANKING, self._seconds * RANKING_SHARE, lambda: self._stubs.ranking.Rank(wanted)
        )
        if response is None:
            return plain
        by_id = {item.product_id: item for item in plain}
        return [
            Ranked(item.product_id, item.score, by_id[item.product_id].channel, by_id[item.product_id].channels,
                   by_id[item.product_id].reason, item.contributions)
            for item in response.products
        ]  # fmt: skip

    async def _page(
        self, request: pb.SearchRequest, ranked: Sequence[Ranked], size: int, stages: Stages
    ) -> tuple[list[recommendation_pb2.RankedProduct], int]:
        """The page, and how many places of the order it used up."""
        results: list[recommendation_pb2.RankedProduct] = []
        consumed = 0
        step = size + 10
        for start in range(0, len(ranked), step):
            part = ranked[start : start + step]
            ids = [item.product_id for item in part]
            products = await self._hydrator.read(ids, stages, self._seconds * CATALOG_SHARE)
            for item in part:
                if len(results) == size:
                    return results, consumed
                consumed += 1
                product = products.get(item.product_id)
                if product is not None and shows(product, request.filter, request.context.category):
                    results.append(item.to_proto(product))
        return results, consumed


def _columns(found: Sequence[retrieval_service_pb2.ScoredProduct]) -> candidates_pb2.CandidateColumns:
    """What ranking reads of candidates."""
    categories = {name: number for number, name in enumerate(dict.fromkeys(item.category for item in found))}
    brands = {name: number for number, name in enumerate(dict.fromkeys(item.brand for item in found))}
    return candidates_pb2.CandidateColumns(
        product_ids=[item.product_id for item in found],
        channel_masks=[_mask(item) for item in found],
        neighbour_scores=[0.0] * len(found),
        neighbour_seeds=[-1] * len(found),
        content_scores=[0.0] * len(found),  # similarity to the person's products, not to the query
        publish_times_s=[0] * len(found),
        category_names=categories,
        category_indexes=[categories[item.category] for item in found],
        brand_names=brands,
        brand_indexes=[brands[item.brand] for item in found],
    )


def _mask(item: retrieval_service_pb2.ScoredProduct) -> int:
    return sum(1 << channel for channel in item.channels)


def _ranked(item: retrieval_service_pb2.ScoredProduct) -> Ranked:
    channel = item.channels[0] if item.channels else recommendation_pb2.CHANNEL_POPULAR
    plain = Ranked.simple(item.product_id, channel, item.score)
    return Ranked(item.product_id, item.score, channel, tuple(item.channels), plain.reason)
