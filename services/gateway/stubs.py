"""The services behind the gateway, by their contracts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
from mercato.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from mercato.encoder.v1.encoder_service_pb2_grpc import EncoderServiceStub
from mercato.profile.v1.profile_service_pb2_grpc import ProfileServiceStub
from mercato.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from mercato.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from mercato.support.v1.support_service_pb2_grpc import SupportServiceStub
from mercato.trainer.v1.trainer_service_pb2_grpc import TrainerServiceStub

from shared.client.channel import open_channel

SERVICES = ("catalog", "profile", "encoder", "retrieval", "ranking", "support", "trainer")


@dataclass(frozen=True, slots=True)
class Stubs:
    """One stub a service, and the channels by name."""

    catalog: CatalogServiceStub
    profile: ProfileServiceStub
    encoder: EncoderServiceStub
    retrieval: RetrievalServiceStub
    ranking: RankingServiceStub
    support: SupportServiceStub
    trainer: TrainerServiceStub
    channels: dict[str, grpc.aio.Channel]


@asynccontextmanager
async def open_stubs(addresses: dict[str, str]) -> AsyncIterator[Stubs]:
    """Opens a channel to every service; each connects with its first call."""
    async with AsyncExitStack() as stack:
        channels = {
            name: await stack.enter_async_context(
                open_channel(addresses[name], service=name, default_timeout_seconds=10)
            )
            for name in SERVICES
        }
        yield Stubs(
            catalog=CatalogServiceStub(channels["catalog"]),
            profile=ProfileServiceStub(channels["profile"]),
            encoder=EncoderServiceStub(channels["encoder"]),
            retrieval=RetrievalServiceStub(channels["retrieval"]),
            ranking=RankingServiceStub(channels["ranking"]),
            support=SupportServiceStub(channels["support"]),
            trainer=TrainerServiceStub(channels["trainer"]),
            channels=channels,
        )
