"""The suite that a benchmark measures."""

from __future__ import annotations

import re
import urllib.request
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from services.cli.client import Gateway, connect
from services.cli.commands.up import prepare
from services.cli.settings import CliSettings
from services.supervisor.adapters.data_folder import lock_holder, read_environment
from services.supervisor.settings import SupervisorSettings
from services.supervisor.suite import Suite, read_state

_LIMIT = re.compile(r"^mercato_server_concurrency_limit (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Place:
    """What is measured: the gateway, and on one machine the systems behind it."""

    gateway: Gateway
    milvus_uri: str
    retrieval_metrics: int
    gateway_metrics: int
    postgres_dsn: str
    data: Path

    def pids(self) -> dict[str, int]:
        """The main process of each unit that runs here."""
        units = read_state(SupervisorSettings(data=self.data)).get("units", ())
        return {unit["unit"]: int(unit["pid"]) for unit in units if unit.get("pid")}

    def concurrency_limit(self) -> float | None:
        """Calls that the gateway takes on at once now; None where its metrics cannot be read."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.gateway_metrics}/metrics", timeout=5) as answer:
                found = _LIMIT.search(answer.read().decode())
        except OSError:
            return None
        return float(found[1]) if found else None


async def find_place(stack: AsyncExitStack, options: CliSettings, data: Path, out: Console) -> Place:
    """The suite that runs on the data folder, else one that is started for the time of the measurement."""
    if lock_holder(data) is None:
        out.print("starting the suite ...")
        suite = await stack.enter_async_context(Suite(SupervisorSettings(data=data, tls=False)))
        await suite.wait_ready()
        gateway = await stack.enter_async_context(connect(CliSettings(address=suite.addresses["gateway"])))
        await prepare(gateway, out, data, 1.0)
    else:
        # A suite that runs is measured with what it holds: it may be somebody's shop.
        gateway = await stack.enter_async_context(connect(options))
    environment = read_environment(data)
    retrieval, frontdoor = (
        int(environment.get(f"MERCATO_{name}_METRICS_PORT", 0)) for name in ("RETRIEVAL", "GATEWAY")
    )
    return Place(
        gateway, environment["MERCATO_MILVUS_URI"], retrieval, frontdoor, environment["MERCATO_POSTGRES_DSN"], data
    )
