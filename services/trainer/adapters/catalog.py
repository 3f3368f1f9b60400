"""Category paths from the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from mercato.catalog.v1 import catalog_service_pb2 as pb
from mercato.catalog.v1 import catalog_service_pb2_grpc

from shared.client.failures import remote_errors

BATCH = 5000


class CatalogCategories:
    """Reads `mercato.catalog.v1.BatchGetFacts`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = catalog_service_pb2_grpc.CatalogServiceStub(channel)

    async def paths(self, product_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for start in range(0, len(product_ids), BATCH):
            request = pb.BatchGetFactsRequest(product_ids=product_ids[start : start + BATCH])
            with remote_errors("catalog"):
                response = await self._stub.BatchGetFacts(request, timeout=30)
            for product_id, path in zip(response.product_ids, response.category_paths, strict=True):
                found[product_id] = tuple(path.levels)
        return found
