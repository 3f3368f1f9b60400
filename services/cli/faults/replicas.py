"""Two processes of every service behind lists of addresses, as in a cluster; a lost one is not started again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from services.supervisor.adapters.grpc_service import GrpcServiceUnit
from services.supervisor.adapters.logs import BoundedLog
from services.supervisor.adapters.process import LoggedProcesses
from services.supervisor.domain import Health
from services.supervisor.errors import CheckFailed
from services.supervisor.ports import RunningProcess
from services.supervisor.services import SERVICES

ALONE = ("trainer",)
"""Run once: releases are followed while the trainer is away."""
START_SECONDS, STOP_SECONDS, POLL_SECONDS = 90.0, 20.0, 0.2


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """How many processes of each service, and what is added to the environment of all but those `spared`."""

    count: int = 2
    environment: Mapping[str, str] = field(default_factory=dict)
    spared: Collection[str] = ()


@dataclass(slots=True)
class Replica:
    """One process of a service, with an address and a data folder of its own."""

    unit: GrpcServiceUnit
    processes: LoggedProcesses
    running: RunningProcess | None = None

    async def start(self) -> None:
        """Starts it unless it runs, and returns when it serves. Raises TimeoutError."""
        if self.running is None:
            self.running = await self.processes.start(self.unit.command())
        async with asyncio.timeout(START_SECONDS):
            while not await self._serves():  # noqa: ASYNC110 - it is another process's condition
                await asyncio.sleep(POLL_SECONDS)

    async def kill(self) -> None:
        """Ends it at once, for good."""
        if self.running is not None:
            running, self.running = self.running, None
            await running.destroy()

    async def stop(self) -> None:
        """Ends it in good order."""
        if self.running is not None:
            running, self.running = self.running, None
            await running.stop(self.unit.stop_signal, STOP_SECONDS)
        await self.unit.close()

    async def _serves(self) -> bool:
        assert self.running is not None
        try:
            return await self.unit.check(self.running.pid) is Health.SERVING
        except CheckFailed:
            return False


class Replicas:
    """All processes, by service."""

    def __init__(self, folder: Path, environment: Mapping[str, str], plan: ReplicaPlan) -> None:
        addresses = {name: [_free_address() for _ in range(1 if name in ALONE else plan.count)] for name in SERVICES}
        keys = {"MERCATO_PROFILE_PERSONAL_KEYS": str(folder / "keys" / "personal.json")}
        lists = {f"MERCATO_{name.upper()}_ADDRESS": ",".join(some) for name, some in addresses.items()}
        shared = {**environment, **keys, **lists, **_secrets()}
        self._plan = plan
        self.addresses = addresses
        self.by_service = {
            name: [self._replica(name, one, folder / f"{name}-{number}", shared) for number, one in enumerate(some)]
            for name, some in addresses.items()
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Runs all of them while the block runs."""
        async with AsyncExitStack() as stack:
            everything = [one for some in self.by_service.values() for one in some]
            for one in everything:
                stack.push_async_callback(one.stop)
            await self.started()
            yield

    async def started(self) -> None:
        """Starts what does not run; returns when all serve."""
        await asyncio.gather(*(one.start() for some in self.by_service.values() for one in some))

    def second(self) -> list[Replica]:
        """The second replica of every service that has two."""
        return [some[1] for some in self.by_service.values() if len(some) > 1]

    def _replica(self, name: str, address: str, folder: Path, shared: Mapping[str, str]) -> Replica:
        folder.mkdir(parents=True, exist_ok=True)
        own = {
            "MERCATO_DATA": str(folder),
            f"MERCATO_{name.upper()}_LISTEN": address,
            f"MERCATO_{name.upper()}_METRICS_PORT": "0",
            **({} if name in self._plan.spared else self._plan.environment),
        }
        return Replica(
            GrpcServiceUnit(name, address, (), {**shared, **own}), LoggedProcesses(BoundedLog(folder / "log"))
        )


def _secrets() -> dict[str, str]:
    """What replicas must agree on; without meaning outside this run."""
    names = ("GATEWAY_TOKEN_KEY", "PROFILE_PSEUDONYM_KEY", "PROFILE_RECEIPT_KEY")
    return {f"MERCATO_{name}": f"{number:02x}" * 32 for number, name in enumerate(names, 17)}


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
