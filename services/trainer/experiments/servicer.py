"""`mercato.trainer.v1.ExperimentService`: contract in, use case, contract out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
from mercato.gateway.v1 import experiment_service_pb2 as public
from mercato.trainer.v1 import experiment_service_pb2 as pb
from mercato.trainer.v1 import experiment_service_pb2_grpc

from services.trainer.experiments import converters
from services.trainer.experiments.manage import ManageExperiments
from services.trainer.experiments.ports import ExperimentRepository
from services.trainer.experiments.report import ReportExperiment
from services.trainer.experiments.report_converters import report_to_proto
from services.trainer.experiments.watch import WatchExperiments
from shared.context.request import current_tenant
from shared.pagination.token import decode_token, encode_token, hash_arguments, page_size

Context = grpc.aio.ServicerContext[Any, Any]
DEFAULT_PAGE, LARGEST_PAGE = 20, 100


@dataclass(frozen=True, slots=True)
class ExperimentUseCases:
    """What the servicer calls."""

    manage: ManageExperiments
    report: ReportExperiment
    watch: WatchExperiments
    experiments: ExperimentRepository


class ExperimentServicer(experiment_service_pb2_grpc.ExperimentServiceServicer):
    """Answers calls."""

    def __init__(self, use_cases: ExperimentUseCases) -> None:
        self._use = use_cases

    async def CreateExperiment(
        self, request: pb.CreateExperimentRequest, context: Context
    ) -> pb.CreateExperimentResponse:
        given = converters.experiment_from_proto(request.request.experiment)
        made = converters.experiment_to_proto(await self._use.manage.create(current_tenant(), given))
        return pb.CreateExperimentResponse(response=public.CreateExperimentResponse(experiment=made))

    async def GetExperiment(self, request: pb.GetExperimentRequest, context: Context) -> pb.GetExperimentResponse:
        stored = await self._use.experiments.get(current_tenant(), request.request.experiment_id)
        found = public.GetExperimentResponse(experiment=converters.experiment_to_proto(stored))
        return pb.GetExperimentResponse(response=found)

    async def ListExperiments(self, request: pb.ListExperimentsRequest, context: Context) -> pb.ListExperimentsResponse:
        wanted = request.request
        size, arguments = page_size(wanted.page_size, DEFAULT_PAGE, LARGEST_PAGE), hash_arguments(wanted)
        before = int(decode_token(wanted.page_token, arguments).get("before") or 0)
        state = converters.state_from_proto(wanted.state)
        found = await self._use.experiments.list_before(current_tenant(), before, size + 1, state)
        token = encode_token({"before": found[size - 1][0]}, arguments) if len(found) > size else ""
        experiments = [converters.experiment_to_proto(one) for _, one in found[:size]]
        page = public.ListExperimentsResponse(experiments=experiments, next_page_token=token)
        return pb.ListExperimentsResponse(response=page)

    async def UpdateExperiment(
        self, request: pb.UpdateExperimentRequest, context: Context
    ) -> pb.UpdateExperimentResponse:
        wanted = request.request
        merge, harmless = converters.merger(wanted.experiment, wanted.update_mask.paths)
        changed = await self._use.manage.update(
            current_tenant(), wanted.experiment.experiment_id, merge, harmless=harmless
        )
        made = public.UpdateExperimentResponse(experiment=converters.experiment_to_proto(changed))
        return pb.UpdateExperimentResponse(response=made)

    async def DeleteExperiment(
        self, request: pb.DeleteExperimentRequest, context: Context
    ) -> pb.DeleteExperimentResponse:
        await self._use.experiments.delete(current_tenant(), request.request.experiment_id)
        return pb.DeleteExperimentResponse(response=public.DeleteExperimentResponse())

    async def StartExperiment(self, request: pb.StartExperimentRequest, context: Context) -> pb.StartExperimentResponse:
        started = await self._use.manage.start(current_tenant(), request.request.experiment_id)
        made = public.StartExperimentResponse(experiment=converters.experiment_to_proto(started))
        return pb.StartExperimentResponse(response=made)

    async def StopExperiment(self, request: pb.StopExperimentRequest, context: Context) -> pb.StopExperimentResponse:
        stopped = await self._use.manage.stop(current_tenant(), request.request.experiment_id, "stopped by hand")
        made = public.StopExperimentResponse(experiment=converters.experiment_to_proto(stopped))
        return pb.StopExperimentResponse(response=made)

    async def GetExperimentReport(
        self, request: pb.GetExperimentReportRequest, context: Context
    ) -> pb.GetExperimentReportResponse:
        report = await self._use.report(current_tenant(), request.request.experiment_id)
        made = public.GetExperimentReportResponse(report=report_to_proto(report))
        return pb.GetExperimentReportResponse(response=made)

    async def WatchExperiments(
        self, request: pb.WatchExperimentsRequest, context: Context
    ) -> AsyncIterator[pb.WatchExperimentsResponse]:
        async for running in self._use.watch():
            yield converters.running_to_proto(running)
