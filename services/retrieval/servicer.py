"""`mercato.retrieval.v1.RetrievalService`: contract in, use case, contract out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
from mercato.retrieval.v1 import retrieval_service_pb2 as pb
from mercato.retrieval.v1 import retrieval_service_pb2_grpc

from services.retrieval import converters
from services.retrieval.find_candidates import FindCandidates
from services.retrieval.manage_indexes import ManageIndexes
from services.retrieval.passages import Passages
from services.retrieval.search_products import SearchProducts, SearchRequest
from services.retrieval.write_products import WriteProducts
from shared.context.request import current_tenant

Context = grpc.aio.ServicerContext[Any, Any]

DEFAULT_RESULTS, MOST_RESULTS = 100, 500
DEFAULT_PASSAGES, MOST_PASSAGES = 20, 100


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the servicer calls."""

    write: WriteProducts
    manage: ManageIndexes
    find: FindCandidates
    products: SearchProducts
    passages: Passages


class RetrievalServicer(retrieval_service_pb2_grpc.RetrievalServiceServicer):
    """Answers calls."""

    def __init__(self, use_cases: UseCases) -> None:
        self._use = use_cases

    async def UpsertProducts(self, request: pb.UpsertProductsRequest, context: Context) -> pb.UpsertProductsResponse:
        products = [converters.product_from_proto(item, at) for at, item in enumerate(request.products)]
        done = await self._use.write.upsert(current_tenant(), products, request.model_release, request.index)
        return pb.UpsertProductsResponse(written_count=done.written, stale_count=done.stale)

    async def UpdateOffers(self, request: pb.UpdateOffersRequest, context: Context) -> pb.UpdateOffersResponse:
        offers = [converters.offer_from_proto(item) for item in request.offers]
        return pb.UpdateOffersResponse(written_count=await self._use.write.update_offers(current_tenant(), offers))

    async def DeleteProducts(self, request: pb.DeleteProductsRequest, context: Context) -> pb.DeleteProductsResponse:
        converters.check_deletes(request)
        await self._use.write.delete(current_tenant(), request.product_ids, request.change_numbers)
        return pb.DeleteProductsResponse()

    async def BeginIndex(self, request: pb.BeginIndexRequest, context: Context) -> pb.BeginIndexResponse:
        name, active = await self._use.manage.begin(
            current_tenant(), request.model_release, request.dimension, first_only=request.first_only
        )
        return pb.BeginIndexResponse(index=name, active=active)

    async def ActivateIndex(self, request: pb.ActivateIndexRequest, context: Context) -> pb.ActivateIndexResponse:
        await self._use.manage.activate(current_tenant(), request.index)
        return pb.ActivateIndexResponse()

    async def GetIndexState(self, request: pb.GetIndexStateRequest, context: Context) -> pb.GetIndexStateResponse:
        state = await self._use.manage.state(current_tenant())
        return pb.GetIndexStateResponse(
            active_index=state.active,
            model_release=state.model_release,
            product_count=state.products,
            building_index=state.building,
            release_id=state.release_id,
            release_ids=state.release_ids,
        )

    async def ReadProductVectors(
        self, request: pb.ReadProductVectorsRequest, context: Context
    ) -> AsyncIterator[pb.ReadProductVectorsResponse]:
        async for page in self._use.manage.read_vectors(current_tenant()):
            yield pb.ReadProductVectorsResponse(
                product_ids=page.product_ids,
                vectors=page.vectors.astype("<f4").tobytes(),
                dimension=page.vectors.shape[1],
                model_release=page.model_release,
            )

    async def FindCandidates(self, request: pb.FindCandidatesRequest, context: Context) -> pb.FindCandidatesResponse:
        found = await self._use.find(current_tenant(), converters.candidate_request_from_proto(request))
        return converters.candidates_to_proto(found)

    async def SearchProducts(self, request: pb.SearchProductsRequest, context: Context) -> pb.SearchProductsResponse:
        asked = SearchRequest(
            vector=converters.vector_from_bytes(request.vector, "vector"),
            model_release=request.model_release,
            words=request.query,
            wanted=converters.filter_from_proto(request.filter),
            limit=converters.limit_of(request.limit, DEFAULT_RESULTS, MOST_RESULTS),
            release_id=request.release_id,
        )
        found = await self._use.products.search(current_tenant(), asked)
        products = [converters.found_to_proto(one) for one in found.products]
        return pb.SearchProductsResponse(products=products, failed_channels=converters.failed_to_proto(found.failed))

    async def SimilarProducts(self, request: pb.SimilarProductsRequest, context: Context) -> pb.SimilarProductsResponse:
        wanted = converters.filter_from_proto(request.filter)
        limit = converters.limit_of(request.limit, DEFAULT_RESULTS, MOST_RESULTS)
        found = await self._use.products.similar(
            current_tenant(), request.product_id, wanted, limit, request.release_id
        )
        products = [converters.found_to_proto(one) for one in found.products]
        return pb.SimilarProductsResponse(products=products, failed_channels=converters.failed_to_proto(found.failed))

    async def UpsertPassages(self, request: pb.UpsertPassagesRequest, context: Context) -> pb.UpsertPassagesResponse:
        passages = [converters.passage_from_proto(item, at) for at, item in enumerate(request.passages)]
        await self._use.passages.upsert(current_tenant(), passages, request.model_release, request.dimension)
        return pb.UpsertPassagesResponse()

    async def DeletePassages(self, request: pb.DeletePassagesRequest, context: Context) -> pb.DeletePassagesResponse:
        await self._use.passages.delete(current_tenant(), request.document_id, request.keep_revision)
        return pb.DeletePassagesResponse()

    async def CountPassages(self, request: pb.CountPassagesRequest, context: Context) -> pb.CountPassagesResponse:
        count = await self._use.passages.count(current_tenant(), request.model_release)
        return pb.CountPassagesResponse(passage_count=count)

    async def SearchPassages(self, request: pb.SearchPassagesRequest, context: Context) -> pb.SearchPassagesResponse:
        vector = converters.vector_from_bytes(request.vector, "vector")
        limit = converters.limit_of(request.limit, DEFAULT_PASSAGES, MOST_PASSAGES)
        found = await self._use.passages.search(current_tenant(), vector, request.model_release, request.query, limit)
        passages = [converters.passage_to_proto(one) for one in found.passages]
        return pb.SearchPassagesResponse(passages=passages, failed_channels=converters.failed_to_proto(found.failed))
