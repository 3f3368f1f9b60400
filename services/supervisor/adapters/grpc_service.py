"""A service of the suite: ``python -m services.<name>``, watched through ``grpc.health.v1``."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from grpc_health.v1 import health_pb2
from typing_extensions import override

from services.supervisor.adapters.certificates import CertificateAuthority, Issued
from services.supervisor.adapters.grpc_probe import GrpcProbe, RefusedCall
from services.supervisor.adapters.unit import BaseUnit
from services.supervisor.domain import Command, Health, Need
from services.supervisor.ports import CommandRunner

CHECK = "/grpc.health.v1.Health/Check"
PROJECT = Path(__file__).parents[3]
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""For processes that serve: more threads of one product only take the cores from the other processes."""
LEARNS = "trainer"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a service proves itself with, and what the supervisor asks it with."""

    authority: CertificateAuthority
    environment: Mapping[str, str]
    asking: Issued


class GrpcServiceUnit(BaseUnit):
    """One service process. NOT_SERVING is an answer: the process lives and waits for what it depends on."""

    def __init__(
        self,
        name: str,
        address: str,
        needs: tuple[Need, ...],
        environment: Mapping[str, str],
        identity: Identity | None = None,
    ) -> None:
        super().__init__(name, address, needs=needs)
        self._environment = environment
        self._identity = identity
        self._probe = GrpcProbe(address, identity.asking if identity else None, name)

    @override
    async def prepare(self, run: CommandRunner, on_line: Callable[[str], None]) -> None:
        if self._identity:
            self._identity.authority.provide(self.name)

    @override
    def command(self) -> Command:
        return Command(
            arguments=(sys.executable, "-m", f"services.{self.name}"),
            environment={
                **({} if self.name == LEARNS else ONE_THREAD),
                **python_environment(),
                **self._environment,
                **(self._identity.environment if self._identity else {}),
            },
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
