"""Builds the trainer. The only place that names its concrete classes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mercato.trainer.v1 import trainer_service_pb2, trainer_service_pb2_grpc

from services.trainer.adapters.catalog import CatalogCategories
from services.trainer.adapters.postgres import PostgresReleases
from services.trainer.adapters.profile import ProfilePurchases
from services.trainer.converters import tables_to_chunks
from services.trainer.learning.neighbours import NeighbourConfig
from services.trainer.promote import PromoteRelease
from services.trainer.servicer import TrainerServicer, UseCases
from services.trainer.settings import TrainerSettings
from services.trainer.train import Sources, Train, TrainConfig
from services.trainer.watch import ReleaseNotifier, WatchReleases
from shared.client.channel import channel_check, open_channel
from shared.postgres.migrations import migrate
from shared.postgres.pool import open_pool, pool_check
from shared.server.parts import ServiceParts, Servicer


@asynccontextmanager
async def build(settings: TrainerSettings) -> AsyncIterator[ServiceParts]:
    """Opens what the trainer needs and yields what is served."""
    config = TrainConfig(
        history_days=settings.history_days,
        neighbours=NeighbourConfig(neighbours=settings.neighbours, least_purchases=settings.least_purchases),
        jobs=settings.jobs,
    )
    async with (
        open_pool(settings.postgres_dsn, max_size=6, application_name="mercato-trainer") as pool,
        open_channel(settings.profile_address, service="profile") as profile,
        open_channel(settings.catalog_address, service="catalog") as catalog,
    ):
        await migrate(pool, "services.trainer.migrations")
        releases, notifier = PostgresReleases(pool, settings.postgres_dsn, settings.releases_kept), ReleaseNotifier()
        sources = Sources(ProfilePurchases(profile), CatalogCategories(catalog))
        train = Train(sources, releases, notifier, tables_to_chunks, config)
        watch = WatchReleases(releases, notifier, settings.watch_seconds)
        use_cases = UseCases(
            train=train,
            promote=PromoteRelease(releases, notifier),
            watch=watch,
            releases=releases,
        )
        try:
            yield ServiceParts(
                name="trainer",
                servicers=(
                    Servicer(
                        trainer_service_pb2.DESCRIPTOR.services_by_name["TrainerService"],
                        trainer_service_pb2_grpc.add_TrainerServiceServicer_to_server,
                        TrainerServicer(use_cases),
                    ),
                ),
                dependencies={
                    "postgres": pool_check(pool),
                    "profile": channel_check(profile, "profile"),
                    "catalog": channel_check(catalog, "catalog"),
                },
                critical=frozenset({"postgres"}),
                on_drain=(watch.end,),
            )
        finally:
            await train.close()
