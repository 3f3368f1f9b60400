"""A suite to break: each backing system and the services in suites of their own, with proxies between them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from services.cli.faults.proxy import TcpProxy
from services.cli.faults.replicas import ReplicaPlan, Replicas
from services.supervisor.adapters.certificates import CertificateAuthority
from services.supervisor.domain import UnitStatus
from services.supervisor.services import BACKING, SERVICES
from services.supervisor.settings import SupervisorSettings
from services.supervisor.suite import Suite

SERVING = "services"
ENVIRONMENT = {"MERCATO_TRAINER_TRAIN_HOURS": "0", "MERCATO_TRAINER_BEHAVIOUR_SECONDS": "20"}
"""Nothing learns by itself while something is measured, and what is learnt is learnt quickly."""


@dataclass(frozen=True)
class Place:
    """A running suite. Services reach backing systems, and callers the gateway, through proxies."""

    folder: Path
    repository: Path
    """Triton's models."""
    suites: Mapping[str, Suite]
    """By backing system; the services together are one."""
    proxies: Mapping[str, TcpProxy]
    """By backing system, and `gateway`."""
    dsn: str
    milvus_uri: str
    """The systems themselves, past the proxies."""
    replicas: Replicas | None = None
    """In place of the services' suite."""
    authority: CertificateAuthority | None = None
    """Whose certificates the services have; None: plain text."""

    @property
    def keys(self) -> Path:
        """The file of the keys of personal data."""
        return self.folder / SERVING / "keys" / "personal.json"

    @property
    def address(self) -> str:
        """Where callers reach the gateway, or the gateways."""
        return ",".join(self.replicas.addresses["gateway"]) if self.replicas else self.proxies["gateway"].address

    def unit(self, name: str) -> UnitStatus:
        """How a process stands."""
        return self._suite(name).unit(name)

    def send(self, name: str, number: signal.Signals) -> None:
        """A signal for a unit's process; for SIGSTOP and SIGCONT also for those that it started."""
        pid = self.unit(name).pid
        if pid is None:
            raise ProcessLookupError(f"{name} has no process")
        pids = descendants(pid) if number in (signal.SIGSTOP, signal.SIGCONT) else []
        for one in (pid, *pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, number)

    async def serving(self, seconds: float = 120.0) -> None:
        """Returns when every process serves. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            for suite in self.suites.values():
                await suite.until(lambda suite=suite: all(row.state in ("ready", "external") for row in suite.units()))  # type: ignore[misc]

    def _suite(self, name: str) -> Suite:
        return self.suites[name if name in BACKING else SERVING]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a place shall be."""

    models: Path | None = None
    """A model repository that is there already; it is not copied."""
    replicas: ReplicaPlan | None = None
    """Processes that nobody starts again, in place of the services' suite."""
    tls: bool = False
    """Mutual TLS between services, and TLS for callers."""


@asynccontextmanager
async def open_place(folder: Path, wanted: Wanted, on_line: Callable[[str], None]) -> AsyncIterator[Place]:
    """Starts everything below `folder`. Raises SupervisorError."""
    async with AsyncExitStack() as stack:
        repository = wanted.models or folder / "models"
        suites, proxies, given = await _systems(stack, folder, repository, on_line)
        through = {
            "MERCATO_POSTGRES_DSN": _through(given["MERCATO_POSTGRES_DSN"], proxies["postgres"]),
            "MERCATO_MILVUS_URI": _through(given["MERCATO_MILVUS_URI"], proxies["milvus"]),
            "MERCATO_TRITON_ADDRESS": proxies["triton"].address,
            "MERCATO_ENCODER_MODEL_REPOSITORY": str(repository),
        }
        on_line("starting the services ...")
        stack.enter_context(_environment(ENVIRONMENT))
        replicas = authority = None
        if wanted.replicas is not None:
            replicas = Replicas(folder / SERVING, through, wanted.replicas)
            await stack.enter_async_context(replicas.running())
        else:
            suite = suites[SERVING] = await stack.enter_async_context(_services(folder, through, wanted))
            await suite.wait_ready()
            authority = CertificateAuthority(folder / SERVING / "tls") if wanted.tls else None
            proxies["gateway"] = await stack.enter_async_context(TcpProxy(suite.addresses["gateway"]))
        dsn, milvus = given["MERCATO_POSTGRES_DSN"], given["MERCATO_MILVUS_URI"]
        yield Place(folder, repository, suites, proxies, dsn, milvus, replicas, authority)


async def _systems(
    stack: AsyncExitStack, folder: Path, repository: Path, on_line: Callable[[str], None]
) -> tuple[dict[str, Suite], dict[str, TcpProxy], dict[str, str]]:
    """The backing systems, a suite and a proxy each, and where they are."""
    suites: dict[str, Suite] = {}
    proxies: dict[str, TcpProxy] = {}
    given: dict[str, str] = {}
    for name in BACKING:
        settings = SupervisorSettings(data=folder / name, model_repository=repository, http_address="off")
        suites[name] = await stack.enter_async_context(Suite(settings, only=[name]))
    for name in BACKING:
        on_line(f"starting {name} ...")
        await suites[name].wait_ready()
        proxies[name] = await stack.enter_async_context(TcpProxy(suites[name].addresses[name]))
        given |= suites[name].environment
    return suites, proxies, given


def _services(folder: Path, through: Mapping[str, str], wanted: Wanted) -> Suite:
    settings = SupervisorSettings(
        data=folder / SERVING,
        gateway_address="127.0.0.1:0",
        http_address="off",
        model_repository=Path(through["MERCATO_ENCODER_MODEL_REPOSITORY"]),
        tls=wanted.tls,
        postgres_dsn=through["MERCATO_POSTGRES_DSN"],
        milvus_uri=through["MERCATO_MILVUS_URI"],
        triton_address=through["MERCATO_TRITON_ADDRESS"],
    )
    return Suite(settings, only=list(SERVICES))


def descendants(pid: int) -> list[int]:
    """Processes that a process started, and theirs. (PostgreSQL's are no group: each is a session of its own.)"""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # After the name in brackets: state, parent.
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def _through(url: str, proxy: TcpProxy) -> str:
    """The address of a system with host and port of its proxy."""
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login}{at}{proxy.address}"))


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables that processes started meanwhile inherit."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
