"""Facts of products from the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from mercato.catalog.v1 import catalog_service_pb2 as pb
from mercato.catalog.v1 import catalog_service_pb2_grpc

from services.trainer.datasets.content import CatalogRow
from shared.client.failures import remote_errors

BATCH = 5000


class CatalogFacts:
    """Reads `mercato.catalog.v1.BatchGetFacts`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = catalog_service_pb2_grpc.CatalogServiceStub(channel)

    async def rows(self, product_ids: Sequence[str]) -> dict[str, CatalogRow]:
        found: dict[str, CatalogRow] = {}
        for start in range(0, len(product_ids), BATCH):
            request = pb.BatchGetFactsRequest(product_ids=product_ids[start : start + BATCH])
            with remote_errors("catalog"):
                answer = await self._stub.BatchGetFacts(request, timeout=30)
            for product_id, path, brand, micros in zip(
                answer.product_ids, answer.category_paths, answer.brands, answer.price_micros, strict=True
            ):
                found[product_id] = CatalogRow(
                    category_path=tuple(path.levels), brand=brand, price=max(micros, 0) / 1e6
                )
        return found
