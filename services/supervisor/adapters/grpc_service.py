"""A service of the suite: ``python -m services.<name>``, watched through ``grpc.health.v1``."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from grpc_health.v1 import health_pb2
from typing_extensions import override

from services.supervisor.adapters.grpc_probe import GrpcProbe, RefusedCall
from services.supervisor.adapters.unit import BaseUnit
from services.supervisor.domain import Command, Health, Need

CHECK = "/grpc.health.v1.Health/Check"
PROJECT = Path(__file__).parents[3]
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""For processes that serve: more threads of one product only take the cores from the other processes."""
LEARNS = "trainer"


class GrpcServiceUnit(BaseUnit):
    """One service process. NOT_SERVING is an answer: the process lives and waits for what it depends on."""

    def __init__(self, name: str, address: str, needs: tuple[Need, ...], environment: Mapping[str, str]) -> None:
        super().__init__(name, address, needs=needs)
        self._environment = environment
        self._probe = GrpcProbe(address)

    @override
    def command(self) -> Command:
        return Command(
            arguments=(sys.executable, "-m", f"services.{self.name}"),
            environment={**({} if self.name == LEARNS else ONE_THREAD), **python_environment(), **self._environment},
            folder=PROJECT,
        )

    @override
    async def check(self, pid: int) -> Health:
        try:
            answer = await self._probe.call(CHECK, health_pb2.HealthCheckRequest().SerializeToString())
        except RefusedCall:
            return Health.NOT_SERVING
        status = health_pb2.HealthCheckResponse.FromString(answer).status
        return Health.SERVING if status == health_pb2.HealthCheckResponse.SERVING else Health.NOT_SERVING

    @override
    async def close(self) -> None:
        await self._probe.close()


def python_environment() -> dict[str, str]:
    """The caller's environment, with the import roots of this project first on PYTHONPATH."""
    roots = [str(PROJECT), str(PROJECT / "shared" / "protogen")]
    given = os.environ.get("PYTHONPATH")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*roots, *([given] if given else [])]),
        "PYTHONUNBUFFERED": "1",
    }
