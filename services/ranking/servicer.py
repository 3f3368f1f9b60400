"""`mercato.ranking.v1.RankingService`: contract in, use case, contract out."""

from __future__ import annotations

from typing import Any

import grpc
from mercato.ranking.v1 import ranking_service_pb2 as pb
from mercato.ranking.v1 import ranking_service_pb2_grpc

from services.ranking import converters
from services.ranking.ports import RankingReleases
from services.ranking.rank import Rank
from shared.context.request import current_tenant

Context = grpc.aio.ServicerContext[Any, Any]


class RankingServicer(ranking_service_pb2_grpc.RankingServiceServicer):
    """Answers calls."""

    def __init__(self, rank: Rank, releases: RankingReleases) -> None:
        self._rank = rank
        self._releases = releases

    async def Rank(self, request: pb.RankRequest, context: Context) -> pb.RankResponse:
        ranking = await self._rank(current_tenant(), converters.command_from_proto(request))
        return converters.ranking_to_proto(ranking)

    async def GetRankingState(self, request: pb.GetRankingStateRequest, context: Context) -> pb.GetRankingStateResponse:
        current, held = self._releases.of(current_tenant()), self._releases.held(current_tenant())
        if current is None:
            return pb.GetRankingStateResponse(release_ids=held)
        statistics = current.statistics
        return pb.GetRankingStateResponse(
            release_id=statistics.release_id, product_count=len(statistics.positions), release_ids=held
        )
