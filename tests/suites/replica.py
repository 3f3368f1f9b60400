"""A service's process as a pod would run it: an address for life, data of its own, ended by SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

PROJECT = Path(__file__).parents[2]
START_SECONDS, END_SECONDS = 90.0, 40.0
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def free_address() -> str:
    """`host:port` on the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


class Replica:
    """One process of `service`; its log is `<folder>/log`."""

    def __init__(
        self, service: str, address: str, folder: Path, environment: Mapping[str, str], code: Path = PROJECT
    ) -> None:
        self.service, self.address = service, address
        folder.mkdir(parents=True)
        self.log = folder / "log"
        self._code = code
        self._environment = {
            **os.environ,
            **ONE_THREAD,
            **environment,
            "PYTHONPATH": f"{code}{os.pathsep}{code / 'shared' / 'protogen'}",
            "PYTHONUNBUFFERED": "1",
            "MERCATO_DATA": str(folder),
            f"MERCATO_{service.upper()}_LISTEN": address,
            f"MERCATO_{service.upper()}_METRICS_PORT": "0",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it; `serving` waits."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", f"services.{self.service}"]
            self._process = subprocess.Popen(command, cwd=self._code, env=self._environment, stdout=log, stderr=log)

    async def serving(self) -> None:
        """Returns when its readiness probe would succeed."""
        try:
            async with asyncio.timeout(START_SECONDS), grpc.aio.insecure_channel(self.address) as channel:
                while not await _is_serving(channel):
                    assert self._process and self._process.poll() is None, self._told("ended while starting")
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(self._told("does not serve")) from None

    async def drained(self) -> None:
        """Sends SIGTERM and returns when the process has ended, in good order."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(self._process.wait, END_SECONDS)
        assert status == 0, self._told(f"ended with {status}")

    def kill(self) -> None:
        """Ends it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _told(self, what: str) -> str:
        return f"{self.service} at {self.address} {what}:\n{self.log.read_text()[-4000:]}"


async def _is_serving(channel: grpc.aio.Channel) -> bool:
    try:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
