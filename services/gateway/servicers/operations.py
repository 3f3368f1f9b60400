"""`mercato.gateway.v1.OperationsService`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from mercato.catalog.v1 import catalog_service_pb2
from mercato.gateway.v1 import operations_service_pb2 as pb
from mercato.gateway.v1 import operations_service_pb2_grpc
from mercato.trainer.v1 import trainer_service_pb2

from services.gateway.status import Status
from services.gateway.stubs import Stubs
from shared.client.failures import remote_errors

Context = grpc.aio.ServicerContext[Any, Any]


class OperationsServicer(operations_service_pb2_grpc.OperationsServiceServicer):
    """Shows and steers the suite."""

    def __init__(self, stubs: Stubs, status: Status) -> None:
        self._stubs = stubs
        self._status = status

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.GetStatusResponse:
        return await self._status()

    async def Train(self, request: pb.TrainRequest, context: Context) -> AsyncIterator[pb.TrainResponse]:
        with remote_errors("trainer"):
            async for step in self._stubs.trainer.Train(
                trainer_service_pb2.TrainRequest(keep_current=request.keep_current)
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

    async def RebuildIndex(
        self, request: pb.RebuildIndexRequest, context: Context
    ) -> AsyncIterator[pb.RebuildIndexResponse]:
        with remote_errors("catalog"):
            async for step in self._stubs.catalog.RebuildIndex(catalog_service_pb2.RebuildIndexRequest()):
                yield pb.RebuildIndexResponse(index=step.index, done=step.done, total=step.total, active=step.active)
