"""`mercato.catalog.v1.CatalogService`: contract in, use case, contract out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
from mercato.catalog.v1 import catalog_service_pb2 as pb
from mercato.catalog.v1 import catalog_service_pb2_grpc

from services.catalog import batches, converters
from services.catalog.compare_products import CompareProducts
from services.catalog.delete_product import DeleteProduct
from services.catalog.import_products import ImportProducts
from services.catalog.ports import ProductRepository
from services.catalog.rebuild_index import RebuildIndex
from services.catalog.update_mask import merger
from services.catalog.update_offers import UpdateOffers
from services.catalog.update_product import UpdateProduct
from shared.context.request import current_tenant
from shared.pagination.token import decode_token, encode_token, hash_arguments, page_size

Context = grpc.aio.ServicerContext[Any, Any]

DEFAULT_PAGE, LARGEST_PAGE = 50, 1000


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the servicer calls."""

    import_products: ImportProducts
    update_product: UpdateProduct
    update_offers: UpdateOffers
    delete_product: DeleteProduct
    rebuild_index: RebuildIndex
    compare_products: CompareProducts
    products: ProductRepository


class CatalogServicer(catalog_service_pb2_grpc.CatalogServiceServicer):
    """Answers calls."""

    def __init__(self, use_cases: UseCases) -> None:
        self._use = use_cases

    async def ImportProducts(
        self, request_iterator: AsyncIterator[pb.ImportProductsRequest], context: Context
    ) -> AsyncIterator[pb.ImportProductsResponse]:
        number = 0
        async for request in request_iterator:
            valid, rejected = batches.split_products(request.products, datetime.now(UTC))
            outcomes = await self._use.import_products(current_tenant(), valid) if valid else []
            yield batches.import_response(number, outcomes, rejected)
            number += 1

    async def BatchGetProducts(
        self, request: pb.BatchGetProductsRequest, context: Context
    ) -> pb.BatchGetProductsResponse:
        ids = list(dict.fromkeys(request.product_ids))
        found = await self._use.products.read(current_tenant(), ids, basic=request.basic)
        return pb.BatchGetProductsResponse(
            products=[converters.product_to_proto(found[product_id]) for product_id in ids if product_id in found],
            missing_product_ids=[product_id for product_id in ids if product_id not in found],
        )

    async def BatchGetFacts(self, request: pb.BatchGetFactsRequest, context: Context) -> pb.BatchGetFactsResponse:
        return converters.facts_to_proto(await self._use.products.facts(current_tenant(), request.product_ids))

    async def ListProducts(self, request: pb.ListProductsRequest, context: Context) -> pb.ListProductsResponse:
        size, arguments = page_size(request.page_size, DEFAULT_PAGE, LARGEST_PAGE), hash_arguments(request)
        after = str(decode_token(request.page_token, arguments).get("after", ""))
        found = await self._use.products.list_after(current_tenant(), after, request.category, size + 1)
        token = encode_token({"after": found[size - 1].product_id}, arguments) if len(found) > size else ""
        products = [batches.with_view(product, basic=request.basic) for product in found[:size]]
        return pb.ListProductsResponse(products=products, next_page_token=token)

    async def UpdateProduct(self, request: pb.UpdateProductRequest, context: Context) -> pb.UpdateProductResponse:
        merge = merger(request.product, request.update_mask.paths)
        stored = await self._use.update_product(current_tenant(), request.product.product_id, merge)
        return pb.UpdateProductResponse(product=converters.product_to_proto(stored))

    async def UpdateOffers(self, request: pb.UpdateOffersRequest, context: Context) -> pb.UpdateOffersResponse:
        split = batches.split_offers(request.offers)
        outcomes = await self._use.update_offers(current_tenant(), split.changes) if split.changes else []
        return batches.offers_response(split, outcomes)

    async def DeleteProduct(self, request: pb.DeleteProductRequest, context: Context) -> pb.DeleteProductResponse:
        await self._use.delete_product(current_tenant(), request.product_id, allow_missing=request.allow_missing)
        return pb.DeleteProductResponse()

    async def RebuildIndex(
        self, request: pb.RebuildIndexRequest, context: Context
    ) -> AsyncIterator[pb.RebuildIndexResponse]:
        async for index, done, total, active in self._use.rebuild_index(current_tenant()):
            yield pb.RebuildIndexResponse(index=index, done=done, total=total, active=active)

    async def CompareProducts(self, request: pb.CompareProductsRequest, context: Context) -> pb.CompareProductsResponse:
        asked = request.request
        others = list(asked.other_product_ids)
        similarities, release = await self._use.compare_products(current_tenant(), asked.product_id, others)
        return pb.CompareProductsResponse(response=converters.similarities_to_proto(others, similarities, release))

    async def GetCatalogState(self, request: pb.GetCatalogStateRequest, context: Context) -> pb.GetCatalogStateResponse:
        state = await self._use.products.state(current_tenant())
        return pb.GetCatalogStateResponse(
            product_count=state.product_count,
            unindexed_count=state.unindexed_count,
            oldest_change_age_s=state.oldest_change_age_s,
        )
