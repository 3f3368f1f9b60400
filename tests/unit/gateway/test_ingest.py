"""An import while the catalogue is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

import pytest
from mercato.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from mercato.gateway.v1 import product_service_pb2

from services.gateway.ingest import import_products
from services.gateway.stubs import Stubs
from shared.client.channel import open_channel
from shared.errors.base import Unavailable
from tests.suites.replica import free_address


async def requests() -> AsyncIterator[product_service_pb2.ImportProductsRequest]:
    yield product_service_pb2.ImportProductsRequest()


async def test_every_import_is_told_that_the_catalogue_is_away_also_once_it_is_not_called_any_more() -> None:
    async with open_channel(free_address(), service="catalog") as channel:
        stubs = cast(Stubs, SimpleNamespace(catalog=CatalogServiceStub(channel)))
        for _ in range(8):  # the breaker opens on the way
            with pytest.raises(Unavailable) as error:
                [part async for part in import_products(stubs, requests())]
            assert error.value.dependency == "catalog"
