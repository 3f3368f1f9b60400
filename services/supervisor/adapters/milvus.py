"""Milvus Lite as a server of its own. One process may hold its folder, so it is the only one that writes there."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from typing_extensions import override

from services.supervisor.adapters.grpc_probe import GrpcProbe
from services.supervisor.adapters.unit import BaseUnit
from services.supervisor.domain import Command, Health, Timing
from services.supervisor.ports import CommandRunner

# Searches hold the interpreter for up to a second on large collections; a slow answer is not a hung server.
TIMING = Timing(start_seconds=120, check_timeout_seconds=15, failures=6)
GET_VERSION = "/milvus.proto.milvus.MilvusService/GetVersion"


class MilvusUnit(BaseUnit):
    """``milvus-lite server`` on the loopback interface."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        super().__init__("milvus", f"{host}:{port}", timing=TIMING)
        self._folder = folder
        self._host = host
        self._port = port
        self._probe = GrpcProbe(self.address)

    @override
    async def prepare(self, run: CommandRunner, on_line: Callable[[str], None]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        remove_unfinished(self._folder)

    @override
    def command(self) -> Command:
        return Command(
            arguments=(
                sys.executable,
                "-m",
                "milvus_lite",
                "server",
                "--data-dir",
                str(self._folder),
                "--host",
                self._host,
                "--port",
                str(self._port),
            ),
            environment={**os.environ, "PYTHONUNBUFFERED": "1"},
            folder=self._folder,
        )

    @override
    async def check(self, pid: int) -> Health:
        # An empty message is a valid GetVersionRequest; any answer shows that the server works.
        await self._probe.call(GET_VERSION, b"")
        return Health.SERVING

    @override
    async def close(self) -> None:
        await self._probe.close()


def remove_unfinished(folder: Path) -> None:
    """Removes what a kill in the middle of making a collection left: a folder without a schema.

    Milvus Lite neither lists such a collection nor makes one of its name. Only while no server runs on the folder.
    """
    for collection in folder.glob("collections/*"):
        if collection.is_dir() and not (collection / "schema.json").exists():
            shutil.rmtree(collection)
