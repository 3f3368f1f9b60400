"""Builds the ranking service. The only place that names its concrete classes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mercato.ranking.v1 import ranking_service_pb2, ranking_service_pb2_grpc

from services.ranking.adapters.trainer import ReleaseLoader
from services.ranking.domain import Placement
from services.ranking.learned import Learned
from services.ranking.ports import RankingRelease
from services.ranking.rank import Rank
from services.ranking.servicer import RankingServicer
from services.ranking.settings import RankingSettings
from shared.client.channel import channel_check, open_channel
from shared.release.follower import ReleaseFollower
from shared.server.parts import ServiceParts, Servicer
from shared.triton.connection import TritonConnection
from shared.triton.graphs import TritonGraphs


@asynccontextmanager
async def build(settings: RankingSettings) -> AsyncIterator[ServiceParts]:
    """Opens what the service needs and yields what is served."""
    async with (
        open_channel(settings.trainer_address, service="trainer") as channel,
        TritonConnection(settings.triton_address, settings.ranker_seconds) as quick,
        TritonConnection(settings.triton_address, settings.load_seconds) as patient,
    ):
        graphs = TritonGraphs(quick, loading=patient)
        loader = ReleaseLoader(graphs)
        releases: ReleaseFollower[RankingRelease] = ReleaseFollower(channel, loader.load, loader.drop)
        weights = {Placement[name.upper()]: weight for name, weight in settings.revenue_weights.items()}
        rank = Rank(releases, Learned(graphs), weights)
        yield ServiceParts(
            name="ranking",
            servicers=(
                Servicer(
                    ranking_service_pb2.DESCRIPTOR.services_by_name["RankingService"],
                    ranking_service_pb2_grpc.add_RankingServiceServicer_to_server,
                    RankingServicer(rank, releases),
                ),
            ),
            dependencies={"trainer": channel_check(channel, "trainer"), "triton": graphs.check},
            background=(releases.run,),
        )
