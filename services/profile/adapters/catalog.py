"""The catalogue service, asked for facts of products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import grpc
from mercato.catalog.v1 import catalog_service_pb2 as pb
from mercato.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub

from services.profile.ports import Catalog, Facts
from shared.client.failures import remote_errors
from shared.context.request import use_tenant


class GrpcCatalog(Catalog):
    """``mercato.catalog.v1.CatalogService.BatchGetFacts``."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = CatalogServiceStub(channel)

    async def facts(self, tenant: str, product_ids: Sequence[str]) -> Mapping[str, Facts]:
        with use_tenant(tenant), remote_errors("catalog"):
            answer = await self._stub.BatchGetFacts(pb.BatchGetFactsRequest(product_ids=product_ids))
        columns = zip(
            answer.product_ids,
            answer.category_paths,
            answer.brands,
            answer.price_micros,
            answer.currency_codes,
            strict=True,
        )
        return {
            product_id: Facts(tuple(path.levels), brand, None if price < 0 else price, currency)
            for product_id, path, brand, price, currency in columns
        }
