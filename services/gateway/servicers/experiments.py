"""`mercato.gateway.v1.ExperimentService`."""

from __future__ import annotations

from typing import Any

import grpc
from mercato.gateway.v1 import experiment_service_pb2 as pb
from mercato.gateway.v1 import experiment_service_pb2_grpc
from mercato.trainer.v1 import experiment_service_pb2 as trainer_pb
from mercato.trainer.v1.experiment_service_pb2_grpc import ExperimentServiceStub

from shared.client.failures import remote_errors

Context = grpc.aio.ServicerContext[Any, Any]


class ExperimentServicer(experiment_service_pb2_grpc.ExperimentServiceServicer):
    """Passes calls to the trainer, which keeps experiments."""

    def __init__(self, trainer: grpc.aio.Channel) -> None:
        self._trainer = ExperimentServiceStub(trainer)

    async def CreateExperiment(
        self, request: pb.CreateExperimentRequest, context: Context
    ) -> pb.CreateExperimentResponse:
        with remote_errors("trainer"):
            return (await self._trainer.CreateExperiment(trainer_pb.CreateExperimentRequest(request=request))).response

    async def GetExperiment(self, request: pb.GetExperimentRequest, context: Context) -> pb.GetExperimentResponse:
        with remote_errors("trainer"):
            return (await self._trainer.GetExperiment(trainer_pb.GetExperimentRequest(request=request))).response

    async def ListExperiments(self, request: pb.ListExperimentsRequest, context: Context) -> pb.ListExperimentsResponse:
        with remote_errors("trainer"):
            return (await self._trainer.ListExperiments(trainer_pb.ListExperimentsRequest(request=request))).response

    async def UpdateExperiment(
        self, request: pb.UpdateExperimentRequest, context: Context
    ) -> pb.UpdateExperimentResponse:
        with remote_errors("trainer"):
            return (await self._trainer.UpdateExperiment(trainer_pb.UpdateExperimentRequest(request=request))).response

    async def DeleteExperiment(
        self, request: pb.DeleteExperimentRequest, context: Context
    ) -> pb.DeleteExperimentResponse:
        with remote_errors("trainer"):
            return (await self._trainer.DeleteExperiment(trainer_pb.DeleteExperimentRequest(request=request))).response

    async def StartExperiment(self, request: pb.StartExperimentRequest, context: Context) -> pb.StartExperimentResponse:
        with remote_errors("trainer"):
            return (await self._trainer.StartExperiment(trainer_pb.StartExperimentRequest(request=request))).response

    async def StopExperiment(self, request: pb.StopExperimentRequest, context: Context) -> pb.StopExperimentResponse:
        with remote_errors("trainer"):
            return (await self._trainer.StopExperiment(trainer_pb.StopExperimentRequest(request=request))).response

    async def GetExperimentReport(
        self, request: pb.GetExperimentReportRequest, context: Context
    ) -> pb.GetExperimentReportResponse:
        wanted = trainer_pb.GetExperimentReportRequest(request=request)
        with remote_errors("trainer"):
            return (await self._trainer.GetExperimentReport(wanted)).response
