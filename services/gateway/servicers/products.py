"""`mercato.gateway.v1.ProductService`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from mercato.catalog.v1 import catalog_service_pb2
from mercato.gateway.v1 import product_service_pb2 as pb
from mercato.gateway.v1 import product_service_pb2_grpc

from services.gateway.hydration import Hydrator
from services.gateway.ingest import import_products
from services.gateway.stubs import Stubs
from shared.client.failures import remote_errors
from shared.context.request import current_tenant
from shared.errors.base import NotFound

Context = grpc.aio.ServicerContext[Any, Any]


class ProductServicer(product_service_pb2_grpc.ProductServiceServicer):
    """Passes calls to the catalogue."""

    def __init__(self, stubs: Stubs, hydrator: Hydrator) -> None:
        self._stubs = stubs
        self._hydrator = hydrator

    async def ImportProducts(
        self, request_iterator: AsyncIterator[pb.ImportProductsRequest], context: Context
    ) -> AsyncIterator[pb.ImportProductsResponse]:
        async for response in import_products(self._stubs, request_iterator):
            yield response

    async def GetProduct(self, request: pb.GetProductRequest, context: Context) -> pb.GetProductResponse:
        wanted = catalog_service_pb2.BatchGetProductsRequest(product_ids=[request.product_id])
        with remote_errors("catalog"):
            found = await self._stubs.catalog.BatchGetProducts(wanted)
        if not found.products:
            raise NotFound("product", request.product_id)
        return pb.GetProductResponse(product=found.products[0])

    async def BatchGetProducts(
        self, request: pb.BatchGetProductsRequest, context: Context
    ) -> pb.BatchGetProductsResponse:
        wanted = catalog_service_pb2.BatchGetProductsRequest(
            product_ids=request.product_ids, basic=request.view == pb.PRODUCT_VIEW_BASIC
        )
        with remote_errors("catalog"):
            found = await self._stubs.catalog.BatchGetProducts(wanted)
        return pb.BatchGetProductsResponse(products=found.products, missing_product_ids=found.missing_product_ids)

    async def ListProducts(self, request: pb.ListProductsRequest, context: Context) -> pb.ListProductsResponse:
        wanted = catalog_service_pb2.ListProductsRequest(
            page_size=request.page_size,
            page_token=request.page_token,
            category=request.category,
            basic=request.view != pb.PRODUCT_VIEW_FULL,
        )
        with remote_errors("catalog"):
            page = await self._stubs.catalog.ListProducts(wanted)
        return pb.ListProductsResponse(products=page.products, next_page_token=page.next_page_token)

    async def UpdateProduct(self, request: pb.UpdateProductRequest, context: Context) -> pb.UpdateProductResponse:
        wanted = catalog_service_pb2.UpdateProductRequest(product=request.product, update_mask=request.update_mask)
        with remote_errors("catalog"):
            stored = await self._stubs.catalog.UpdateProduct(wanted)
        return pb.UpdateProductResponse(product=stored.product)

    async def UpdateOffers(self, request: pb.UpdateOffersRequest, context: Context) -> pb.UpdateOffersResponse:
        with remote_errors("catalog"):
            stored = await self._stubs.catalog.UpdateOffers(
                catalog_service_pb2.UpdateOffersRequest(offers=request.offers)
            )
        return pb.UpdateOffersResponse(updated_count=stored.updated_count, rejected=stored.rejected)

    async def DeleteProduct(self, request: pb.DeleteProductRequest, context: Context) -> pb.DeleteProductResponse:
        wanted = catalog_service_pb2.DeleteProductRequest(
            product_id=request.product_id, allow_missing=request.allow_missing
        )
        with remote_errors("catalog"):
            await self._stubs.catalog.DeleteProduct(wanted)
        self._hydrator.forget(current_tenant(), request.product_id)
        return pb.DeleteProductResponse()
