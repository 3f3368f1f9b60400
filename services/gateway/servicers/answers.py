"""`mercato.gateway.v1.RecommendationService` and `SearchService`."""

from __future__ import annotations

from typing import Any

import grpc
from mercato.catalog.v1 import catalog_service_pb2
from mercato.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from mercato.gateway.v1 import (
    recommendation_service_pb2,
    recommendation_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
)

from services.gateway.recommend import Recommend
from services.gateway.search import Search
from services.gateway.similar import SimilarProducts
from shared.client.failures import remote_errors

Context = grpc.aio.ServicerContext[Any, Any]


class RecommendationServicer(recommendation_service_pb2_grpc.RecommendationServiceServicer):
    """Recommends."""

    def __init__(self, recommend: Recommend, similar: SimilarProducts, catalog: CatalogServiceStub) -> None:
        self._recommend = recommend
        self._similar = similar
        self._catalog = catalog

    async def Recommend(
        self, request: recommendation_service_pb2.RecommendRequest, context: Context
    ) -> recommendation_service_pb2.RecommendResponse:
        return await self._recommend(request)

    async def SimilarProducts(
        self, request: recommendation_service_pb2.SimilarProductsRequest, context: Context
    ) -> recommendation_service_pb2.SimilarProductsResponse:
        return await self._similar(request)

    async def CompareProducts(
        self, request: recommendation_service_pb2.CompareProductsRequest, context: Context
    ) -> recommendation_service_pb2.CompareProductsResponse:
        wanted = catalog_service_pb2.CompareProductsRequest(request=request)
        with remote_errors("catalog"):
            return (await self._catalog.CompareProducts(wanted)).response


class SearchServicer(search_service_pb2_grpc.SearchServiceServicer):
    """Searches."""

    def __init__(self, search: Search) -> None:
        self._search = search

    async def Search(
        self, request: search_service_pb2.SearchRequest, context: Context
    ) -> search_service_pb2.SearchResponse:
        return await self._search(request)
