"""Similar products: by vector and by neighbours; neighbours and popular ones from memory when retrieval is down."""

from __future__ import annotations

from collections.abc import Sequence

from mercato.gateway.v1 import product_pb2, recommendation_pb2
from mercato.gateway.v1 import recommendation_service_pb2 as pb
from mercato.retrieval.v1 import retrieval_service_pb2

from services.gateway.answers import Ranked
from services.gateway.hydration import can_check, matches
from services.gateway.ladder import similar_from_lists
from services.gateway.pipeline import Pipeline
from services.gateway.recommend import DEFAULT_SIZE, LARGEST_SIZE, SPARE
from services.gateway.stages import Stages
from shared.context.request import current_tenant, use_deadline
from shared.errors.base import NotFound, Unavailable

RETRIEVAL_SHARE, CATALOG_SHARE = 0.6, 0.3


class SimilarProducts:
    """The pipeline."""

    def __init__(self, pipeline: Pipeline, seconds: float) -> None:
        self._stubs = pipeline.stubs
        self._hydrator = pipeline.hydrator
        self._releases = pipeline.releases
        self._choose = pipeline.choose
        self._answerer = pipeline.answerer
        self._seconds = seconds

    async def __call__(self, request: pb.SimilarProductsRequest) -> pb.SimilarProductsResponse:
        """Answers. Raises NotFound (the product), Unavailable (neither vectors nor lists)."""
        size, stages = min(request.page_size or DEFAULT_SIZE, LARGEST_SIZE), Stages()
        plan, choice = self._choose("similar", request)
        release_id = choice.release_id
        with use_deadline(self._seconds):
            found = await self._find(request, size, release_id, stages)
            ranked = [_ranked(item) for item in found.products] if found is not None else []
            ids = [request.product_id, *(item.product_id for item in ranked[: size + SPARE])]
            products = await self._hydrator.read(ids, stages, self._seconds * CATALOG_SHARE)
            origin = products.get(request.product_id)
            if origin is None:
                raise NotFound("product", request.product_id)
            if found is None:
                if not can_check(request.filter):
                    raise Unavailable("retrieval")
                ranked = self._from_lists(origin, release_id, stages)[: size + SPARE]
                ids = [item.product_id for item in ranked]
                products = await self._hydrator.read(ids, stages, self._seconds * CATALOG_SHARE)
        results = _page(ranked, products, origin, request.filter)[:size]
        shown = [result.product.product_id for result in results]
        token = self._answerer.token("similar", release_id, shown, exposures=plan.exposures)
        return pb.SimilarProductsResponse(results=results, attribution_token=token, missing_stages=stages.missing)

    async def _find(
        self, request: pb.SimilarProductsRequest, size: int, release_id: str, stages: Stages
    ) -> retrieval_service_pb2.SimilarProductsResponse | None:
        wanted = retrieval_service_pb2.SimilarProductsRequest(
            product_id=request.product_id, filter=request.filter, limit=size + SPARE, release_id=release_id
        )
        found = await stages.run(
            recommendation_pb2.STAGE_RETRIEVAL,
            self._seconds * RETRIEVAL_SHARE,
            lambda: self._stubs.retrieval.SimilarProducts(wanted),
        )
        for failed in found.failed_channels if found is not None else ():
            stages.note(recommendation_pb2.STAGE_VECTOR_INDEX, failed.cause)
        return found

    def _from_lists(self, origin: product_pb2.Product, release_id: str, stages: Stages) -> list[Ranked]:
        """Raises Unavailable when the lists know nothing of the product."""
        lists = self._releases.lists(current_tenant(), release_id)
        ranked = similar_from_lists(origin.product_id, origin.category_path, lists)
        if not ranked:
            raise Unavailable("retrieval")
        stages.stand_in(recommendation_pb2.STAGE_RETRIEVAL, recommendation_pb2.SUBSTITUTE_LISTS)
        return ranked


def _page(
    ranked: Sequence[Ranked],
    products: dict[str, product_pb2.Product],
    origin: product_pb2.Product,
    filter_: product_pb2.ProductFilter,
) -> list[recommendation_pb2.RankedProduct]:
    results = []
    for item in ranked:
        product = products.get(item.product_id)
        if product is None or item.product_id == origin.product_id or not matches(product, filter_):
            continue
        result = item.to_proto(product)
        if result.reason.code != recommendation_pb2.REASON_CODE_POPULAR:
            result.reason.related_product_id = origin.product_id
        result.reason.text = result.reason.text.format(title=origin.title or origin.product_id)
        results.append(result)
    return results


def _ranked(item: retrieval_service_pb2.ScoredProduct) -> Ranked:
    by_text = item.dense_score > 0.0
    both = by_text and item.neighbour_score > 0.0
    code = recommendation_pb2.REASON_CODE_SIMILAR if by_text else recommendation_pb2.REASON_CODE_BOUGHT_TOGETHER
    text = "Similar to {title}" if by_text else "Bought by people who buy {title}"
    if both:
        text += ", and bought by the same people"
    channel = item.channels[0] if item.channels else recommendation_pb2.CHANNEL_SIMILAR_TO_RECENT
    reason = recommendation_pb2.Reason(code=code, text=text)
    return Ranked(item.product_id, item.score, channel, tuple(item.channels), reason)
