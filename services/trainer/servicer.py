"""`mercato.trainer.v1.TrainerService`: contract in, use case, contract out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from mercato.trainer.v1 import trainer_service_pb2 as pb
from mercato.trainer.v1 import trainer_service_pb2_grpc

from services.trainer import converters
from services.trainer.errors import ArtifactDamaged
from services.trainer.ports import ReleaseRepository
from services.trainer.promote import PromoteRelease
from services.trainer.roll_out import RollOut
from services.trainer.train import Train
from services.trainer.watch import WatchReleases
from shared.context.request import current_tenant
from shared.pagination.token import decode_token, encode_token, hash_arguments, page_size

Context = grpc.aio.ServicerContext[Any, Any]
M = TypeVar("M", bound=Message)

DEFAULT_PAGE, LARGEST_PAGE = 20, 100


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the servicer calls."""

    train: Train
    promote: PromoteRelease
    watch: WatchReleases
    roll_out: RollOut
    releases: ReleaseRepository


class TrainerServicer(trainer_service_pb2_grpc.TrainerServiceServicer):
    """Answers calls."""

    def __init__(self, use_cases: UseCases) -> None:
        self._use = use_cases

    async def Train(self, request: pb.TrainRequest, context: Context) -> AsyncIterator[pb.TrainResponse]:
        kind = converters.kind_from_proto(request.kind)
        async for step in self._use.train(current_tenant(), kind, keep_current=request.keep_current):
            yield converters.progress_to_proto(step)

    async def GetCurrentRelease(
        self, request: pb.GetCurrentReleaseRequest, context: Context
    ) -> pb.GetCurrentReleaseResponse:
        release = await self._use.releases.get(current_tenant(), "")
        return pb.GetCurrentReleaseResponse(release=converters.release_to_proto(release))

    async def WatchReleases(
        self, request: pb.WatchReleasesRequest, context: Context
    ) -> AsyncIterator[pb.WatchReleasesResponse]:
        async for tenant, lineup in self._use.watch():
            yield converters.lineup_to_proto(tenant, lineup)

    async def GetRelease(self, request: pb.GetReleaseRequest, context: Context) -> pb.GetReleaseResponse:
        release = await self._use.releases.get(current_tenant(), request.release_id)
        return pb.GetReleaseResponse(release=converters.whole_release_to_proto(release))

    async def ListReleases(self, request: pb.ListReleasesRequest, context: Context) -> pb.ListReleasesResponse:
        size, arguments = page_size(request.page_size, DEFAULT_PAGE, LARGEST_PAGE), hash_arguments(request)
        before = str(decode_token(request.page_token, arguments).get("before", ""))
        found = await self._use.releases.list_before(current_tenant(), before, size + 1)
        token = encode_token({"before": found[size - 1].release_id}, arguments) if len(found) > size else ""
        releases = [converters.release_to_proto(release) for release in found[:size]]
        return pb.ListReleasesResponse(releases=releases, next_page_token=token)

    async def PromoteRelease(self, request: pb.PromoteReleaseRequest, context: Context) -> pb.PromoteReleaseResponse:
        release = await self._use.promote(current_tenant(), request.release_id)
        return pb.PromoteReleaseResponse(release=converters.release_to_proto(release))

    async def RollbackRelease(self, request: pb.RollbackReleaseRequest, context: Context) -> pb.RollbackReleaseResponse:
        release = await self._use.promote.back(current_tenant())
        return pb.RollbackReleaseResponse(release=converters.release_to_proto(release))

    async def StartRollout(self, request: pb.StartRolloutRequest, context: Context) -> pb.StartRolloutResponse:
        mode = converters.mode_from_proto(request.mode)
        rollout = await self._use.roll_out.start(current_tenant(), request.release_id, mode, request.share)
        return pb.StartRolloutResponse(rollout=converters.rollout_to_proto(rollout))

    async def StopRollout(self, request: pb.StopRolloutRequest, context: Context) -> pb.StopRolloutResponse:
        rollout = await self._use.roll_out.stop(current_tenant())
        return pb.StopRolloutResponse(rollout=converters.rollout_to_proto(rollout))

    async def GetRollout(self, request: pb.GetRolloutRequest, context: Context) -> pb.GetRolloutResponse:
        rollout = await self._use.roll_out.latest(current_tenant())
        return pb.GetRolloutResponse(rollout=converters.rollout_to_proto(rollout))

    async def ReadArtifact(
        self, request: pb.ReadArtifactRequest, context: Context
    ) -> AsyncIterator[pb.ReadArtifactResponse]:
        async for content in self._use.releases.read_artifact(current_tenant(), request.release_id, request.name):
            yield pb.ReadArtifactResponse(content=content)

    async def ReadItemNeighbours(
        self, request: pb.ReadItemNeighboursRequest, context: Context
    ) -> AsyncIterator[pb.ReadItemNeighboursResponse]:
        name = converters.NEIGHBOURS
        async for content in self._use.releases.read_artifact(current_tenant(), request.release_id, name):
            yield _parsed(pb.ReadItemNeighboursResponse, content, request.release_id, name)

    async def ReadItemStatistics(
        self, request: pb.ReadItemStatisticsRequest, context: Context
    ) -> AsyncIterator[pb.ReadItemStatisticsResponse]:
        name = converters.STATISTICS
        async for content in self._use.releases.read_artifact(current_tenant(), request.release_id, name):
            yield _parsed(pb.ReadItemStatisticsResponse, content, request.release_id, name)


def _parsed(kind: type[M], content: bytes, release_id: str, name: str) -> M:
    """A part of a table. Raises ArtifactDamaged: the hash is known only at the end of the artifact."""
    try:
        return kind.FromString(content)
    except DecodeError as error:
        raise ArtifactDamaged(release_id, name) from error
