"""`mercato.ranking.v1.RankingService`: contract in, use case, contract out."""

from __future__ import annotations

from typing import Any

import grpc
from mercato.ranking.v1 import ranking_service_pb2 as pb
from mercato.ranking.v1 import ranking_service_pb2_grpc

from services.ranking import converters
from services.ranking.ports import StatisticsSource
from services.ranking.rank import Rank
from shared.context.request import current_tenant

Context = grpc.aio.ServicerContext[Any, Any]


class RankingServicer(ranking_service_pb2_grpc.RankingServiceServicer):
    """Answers calls."""

    def __init__(self, rank: Rank, statistics: StatisticsSource) -> None:
        self._rank = rank
        self._statistics = statistics

    async def Rank(self, request: pb.RankRequest, context: Context) -> pb.RankResponse:
        ranked, release_id = self._rank(current_tenant(), converters.command_from_proto(request))
        return pb.RankResponse(products=[converters.ranked_to_proto(item) for item in ranked], release_id=release_id)

    async def GetRankingState(self, request: pb.GetRankingStateRequest, context: Context) -> pb.GetRankingStateResponse:
        statistics = self._statistics.of(current_tenant())
        if statistics is None:
            return pb.GetRankingStateResponse()
        return pb.GetRankingStateResponse(release_id=statistics.release_id, product_count=len(statistics.positions))
