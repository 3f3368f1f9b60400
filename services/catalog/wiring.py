"""Builds the catalogue. The only place that names its concrete classes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from mercato.catalog.v1 import catalog_service_pb2, catalog_service_pb2_grpc

from services.catalog.adapters.encoder import RemoteEncoder
from services.catalog.adapters.postgres import PostgresProducts
from services.catalog.adapters.retrieval import RemoteIndex
from services.catalog.compare_products import CompareProducts
from services.catalog.converters import content_of
from services.catalog.delete_product import DeleteProduct
from services.catalog.import_products import ImportProducts
from services.catalog.index_products import IndexWorker, WorkerPolicy
from services.catalog.keep_index import IndexKeeper
from services.catalog.ports import Systems
from services.catalog.rebuild_index import RebuildIndex
from services.catalog.servicer import CatalogServicer, UseCases
from services.catalog.settings import CatalogSettings
from services.catalog.update_offers import UpdateOffers
from services.catalog.update_product import UpdateProduct
from services.catalog.waker import Waker
from shared.client.channel import channel_check, open_channel
from shared.postgres.migrations import migrate
from shared.postgres.pool import open_pool, pool_check
from shared.server.parts import Background, ServiceParts, Servicer
from shared.telemetry.outbox import watch_backlog


@asynccontextmanager
async def build(settings: CatalogSettings) -> AsyncIterator[ServiceParts]:
    """Opens what the service needs and yields what is served."""
    async with (
        open_pool(settings.postgres_dsn, max_size=12, application_name="mercato-catalog") as pool,
        open_channel(settings.encoder_address, service="encoder") as encoder,
        open_channel(settings.retrieval_address, service="retrieval") as retrieval,
    ):
        await migrate(pool, "services.catalog.migrations")
        products, waker = PostgresProducts(pool), Waker()
        systems = Systems(products, products, RemoteEncoder(encoder), RemoteIndex(retrieval))
        rebuild = RebuildIndex(systems)
        policy = WorkerPolicy(settings.index_batch, settings.index_poll_seconds, settings.index_lease_seconds)
        keeper = IndexKeeper(systems, rebuild, waker, settings.index_check_seconds)
        workers: list[Background] = [IndexWorker(systems, keeper, waker, policy).run for _ in range(settings.workers)]
        beside: list[Background] = [keeper.run, partial(watch_backlog, "products", products.backlog)]
        background = [*workers, *beside] if workers else []
        use_cases = UseCases(
            import_products=ImportProducts(products, waker),
            update_product=UpdateProduct(products, waker),
            update_offers=UpdateOffers(products, content_of, waker),
            delete_product=DeleteProduct(products, waker),
            rebuild_index=rebuild,
            compare_products=CompareProducts(products, systems.encoder),
            products=products,
        )
        yield ServiceParts(
            name="catalog",
            servicers=(
                Servicer(
                    catalog_service_pb2.DESCRIPTOR.services_by_name["CatalogService"],
                    catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server,
                    CatalogServicer(use_cases),
                ),
            ),
            dependencies={
                "postgres": pool_check(pool),
                "encoder": channel_check(encoder, "encoder"),
                "retrieval": channel_check(retrieval, "retrieval"),
            },
            critical=frozenset({"postgres"}),
            background=tuple(background),
        )
