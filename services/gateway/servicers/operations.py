"""`mercato.gateway.v1.OperationsService`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from mercato.catalog.v1 import catalog_service_pb2
from mercato.gateway.v1 import operations_service_pb2 as pb
from mercato.gateway.v1 import operations_service_pb2_grpc
from mercato.trainer.v1 import trainer_service_pb2

from services.gateway.servicers.access import AccessRpcs, AccessUseCases
from services.gateway.status import Status
from services.gateway.stubs import Stubs
from shared.client.failures import remote_errors

DEFAULT_SHARE = 0.05

Context = grpc.aio.ServicerContext[Any, Any]


class OperationsServicer(AccessRpcs, operations_service_pb2_grpc.OperationsServiceServicer):
    """Shows and steers the suite."""

    def __init__(self, stubs: Stubs, status: Status, access: AccessUseCases) -> None:
        super().__init__(access)
        self._stubs = stubs
        self._status = status

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.GetStatusResponse:
        return await self._status()

    async def Train(self, request: pb.TrainRequest, context: Context) -> AsyncIterator[pb.TrainResponse]:
        with remote_errors("trainer"):
            async for step in self._stubs.trainer.Train(
                trainer_service_pb2.TrainRequest(keep_current=request.keep_current, kind=request.kind)
            ):
                release = step.release if step.HasField("release") else None
                yield pb.TrainResponse(step=step.step, done=step.done, total=step.total, release=release)

    async def ListReleases(self, request: pb.ListReleasesRequest, context: Context) -> pb.ListReleasesResponse:
        wanted = trainer_service_pb2.ListReleasesRequest(page_size=request.page_size, page_token=request.page_token)
        with remote_errors("trainer"):
            page = await self._stubs.trainer.ListReleases(wanted)
        return pb.ListReleasesResponse(releases=page.releases, next_page_token=page.next_page_token)

    async def PromoteRelease(self, request: pb.PromoteReleaseRequest, context: Context) -> pb.PromoteReleaseResponse:
        wanted = trainer_service_pb2.PromoteReleaseRequest(release_id=request.release_id)
        with remote_errors("trainer"):
            promoted = await self._stubs.trainer.PromoteRelease(wanted)
        return pb.PromoteReleaseResponse(release=promoted.release)

    async def GetRelease(self, request: pb.GetReleaseRequest, context: Context) -> pb.GetReleaseResponse:
        with remote_errors("trainer"):
            found = await self._stubs.trainer.GetRelease(
                trainer_service_pb2.GetReleaseRequest(release_id=request.release_id)
            )
        return pb.GetReleaseResponse(release=found.release)

    async def RollbackRelease(self, request: pb.RollbackReleaseRequest, context: Context) -> pb.RollbackReleaseResponse:
        with remote_errors("trainer"):
            found = await self._stubs.trainer.RollbackRelease(trainer_service_pb2.RollbackReleaseRequest())
        return pb.RollbackReleaseResponse(release=found.release)

    async def StartRollout(self, request: pb.StartRolloutRequest, context: Context) -> pb.StartRolloutResponse:
        share = request.share if request.HasField("share") else DEFAULT_SHARE
        wanted = trainer_service_pb2.StartRolloutRequest(release_id=request.release_id, mode=request.mode, share=share)
        with remote_errors("trainer"):
            found = await self._stubs.trainer.StartRollout(wanted)
        return pb.StartRolloutResponse(rollout=found.rollout)

    async def StopRollout(self, request: pb.StopRolloutRequest, context: Context) -> pb.StopRolloutResponse:
        with remote_errors("trainer"):
            found = await self._stubs.trainer.StopRollout(trainer_service_pb2.StopRolloutRequest())
        return pb.StopRolloutResponse(rollout=found.rollout)

    async def GetRollout(self, request: pb.GetRolloutRequest, context: Context) -> pb.GetRolloutResponse:
        with remote_errors("trainer"):
            found = await self._stubs.trainer.GetRollout(trainer_service_pb2.GetRolloutRequest())
        return pb.GetRolloutResponse(rollout=found.rollout)

    async def RebuildIndex(
        self, request: pb.RebuildIndexRequest, context: Context
    ) -> AsyncIterator[pb.RebuildIndexResponse]:
        with remote_errors("catalog"):
            async for step in self._stubs.catalog.RebuildIndex(catalog_service_pb2.RebuildIndexRequest()):
                yield pb.RebuildIndexResponse(index=step.index, done=step.done, total=step.total, active=step.active)
