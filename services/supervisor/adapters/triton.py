"""Triton from the pytriton wheel: ``tritonserver`` itself on a model repository that a command writes first."""

import asyncio
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from services.supervisor.adapters.grpc_service import PROJECT, python_environment
from services.supervisor.adapters.triton_install import TritonInstall, clear_shared_memory
from services.supervisor.adapters.triton_probe import TritonProbe
from services.supervisor.adapters.unit import BaseUnit
from services.supervisor.domain import Command, Health, Timing
from services.supervisor.errors import CheckFailed, PrepareFailed
from services.supervisor.ports import CommandRunner

# A request of ours waits behind the texts of an import; a long queue is not a hung server.
# It keeps nothing and its clients have stopped before it, so that it need not finish its slow orderly end.
TIMING = Timing(start_seconds=180, check_seconds=2, check_timeout_seconds=20, failures=4, stop_seconds=2)
REAP_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class TritonSettings:
    """Where the server finds its models and listens. ``metrics_port`` 0 serves no metrics."""

    repository: Path
    work: Path
    host: str
    port: int
    metrics_port: int
    model_command: tuple[str, ...]
    traces_url: str | None = None
    """OTLP/HTTP; None: Triton traces nothing."""


class TritonUnit(BaseUnit):
    """The server and the processes of its Python backend, one for each model instance."""

    def __init__(self, settings: TritonSettings) -> None:
        super().__init__("triton", f"{settings.host}:{settings.port}", timing=TIMING)
        self._settings = settings
        self._probe = TritonProbe(self.address)
        place = hashlib.sha256(str(settings.work.absolute()).encode()).hexdigest()[:8]
        self._memory_prefix = f"mercato_{place}_"

    @override
    async def prepare(self, run: CommandRunner, on_line: Callable[[str], None]) -> None:
        if self._settings.model_command:
            await self._write_models(run, on_line)  # before every start: what was damaged meanwhile is repaired
        self._settings.repository.mkdir(parents=True, exist_ok=True)
        TritonInstall().link_backends(self._backends)
        clear_shared_memory(self._memory_prefix)

    async def _write_models(self, run: CommandRunner, on_line: Callable[[str], None]) -> None:
        arguments = (part.format(repository=self._settings.repository) for part in self._settings.model_command)
        command = Command(arguments=(sys.executable, *arguments), environment=python_environment(), folder=PROJECT)
        status = await run(command, on_line)
        if status != 0:
            raise PrepareFailed(f"writing the models ended with exit status {status}")

    @property
    def _backends(self) -> Path:
        return self._settings.work / "backends"

    @override
    def command(self) -> Command:
        settings, install = self._settings, TritonInstall()
        metrics = (
            (f"--metrics-address={settings.host}", f"--metrics-port={settings.metrics_port}")
            if settings.metrics_port
            else ("--allow-metrics=false",)
        )
        return Command(
            arguments=(
                str(install.program),
                f"--backend-directory={self._backends}",
                f"--model-repository={settings.repository}",
                "--model-control-mode=explicit",
                "--load-model=*",
                f"--grpc-address={settings.host}",
                f"--grpc-port={settings.port}",
                "--allow-http=false",
                *metrics,
                *_traces(settings.traces_url),
                "--disable-auto-complete-config",
                # Strict readiness stays false after a broken version was seen, even once it is removed.
                "--strict-readiness=false",
                f"--backend-config=python,shm-region-prefix-name={self._memory_prefix}",
                "--exit-timeout-secs=10",
            ),
            environment=install.environment(),
            folder=settings.work,
        )

    @override
    async def check(self, pid: int) -> Health:
        await self._find_dead_children(pid)
        return await self._probe()

    async def _find_dead_children(self, pid: int) -> None:
        """Triton collects a model process that it ended itself; one that crashed stays a zombie and is not replaced.

        Asking by inference alone may miss it: with several instances, a living one can answer.
        """
        if dead := zombies(pid):
            await asyncio.sleep(REAP_SECONDS)
            if still := dead & zombies(pid):
                raise CheckFailed(f"model process {min(still)} died", definite=True)

    @override
    async def close(self) -> None:
        await self._probe.close()
        clear_shared_memory(self._memory_prefix)


def _traces(url: str | None) -> tuple[str, ...]:
    """Triton's spans of queue and model for requests that come with a trace (rate 0: for no others)."""
    settings = ("mode=opentelemetry", "level=TIMESTAMPS", "rate=0", f"opentelemetry,url={url}")
    return tuple(f"--trace-config={one}" for one in settings) if url else ()


def zombies(parent: int) -> set[int]:
    """Children of ``parent`` that have ended and were not collected."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            # After the name in brackets: state, parent.
            state, owner = ([*_stat(entry).rpartition(")")[2].split(), "", ""])[:2]
            if state == "Z" and owner == str(parent):
                found.add(int(entry.name))
    return found


def _stat(process: Path) -> str:
    """The kernel's line on a process; empty when it is gone."""
    try:
        return (process / "stat").read_text()
    except OSError:
        return ""
