"""Two real replicas of the profile service on one database; one is killed, drained or paused under load."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from mercato.profile.v1 import profile_service_pb2 as pb
from mercato.profile.v1.profile_service_pb2_grpc import ProfileServiceStub

from shared.client.channel import open_channel
from shared.settings.connection import ConnectionSettings

PROJECT = Path(__file__).parents[4]
WORKERS = 16


class Replica:
    """A process that serves on the same address in each of its lives."""

    def __init__(self, dsn: str, data: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._environment = {
            **os.environ,
            "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'shared' / 'protogen'}",
            "MERCATO_POSTGRES_DSN": dsn,
            "MERCATO_DATA": str(data),
            "MERCATO_PROFILE_LISTEN": self.address,
            "MERCATO_PROFILE_ACCESS_LOG": "false",
        }
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "services.profile"]
        self.process = subprocess.Popen(command, cwd=PROJECT, env=self._environment, stderr=subprocess.DEVNULL)

    async def serving(self) -> None:
        async with asyncio.timeout(60), grpc.aio.insecure_channel(self.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            while True:
                try:
                    answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=2)
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        return
                except grpc.aio.AioRpcError:
                    pass
                await asyncio.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def replicas(postgres_database: str, tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    pair = Replica(postgres_database, tmp_path), Replica(postgres_database, tmp_path)
    yield pair
    for replica in pair:
        replica.end()


class Load:
    """Workers that read without a pause; how many reads were answered, and what failed."""

    def __init__(self, stub: ProfileServiceStub) -> None:
        self._stub = stub
        self.answered = 0
        self.failures: list[grpc.aio.AioRpcError] = []

    async def work(self) -> None:
        while True:
            try:
                await self._stub.GetEventState(pb.GetEventStateRequest(), timeout=2)
                self.answered += 1
            except grpc.aio.AioRpcError as error:
                self.failures.append(error)
                await asyncio.sleep(0.01)

    async def more(self, answers: int) -> None:
        """Waits for more answers."""
        wanted = self.answered + answers
        async with asyncio.timeout(60):
            while self.answered < wanted:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def load_on(replicas: tuple[Replica, Replica], connection: ConnectionSettings) -> AsyncIterator[Load]:
    await asyncio.gather(*(replica.serving() for replica in replicas))
    address = ",".join(replica.address for replica in replicas)
    async with open_channel(address, service="profile", connection=connection) as channel:
        load = Load(ProfileServiceStub(channel))
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(load.work()) for _ in range(WORKERS)]
            await load.more(200)
            yield load
            for worker in workers:
                worker.cancel()


async def test_a_killed_and_a_drained_replica_fail_no_idempotent_call(replicas: tuple[Replica, Replica]) -> None:
    first, second = replicas
    connection = ConnectionSettings()
    async with load_on(replicas, connection) as load:
        first.signal(signal.SIGKILL)
        first.process.wait()
        await load.more(300)
        first.start()
        await first.serving()
        # The calls that died with it may have been all of their second: then it is left alone for a while.
        await asyncio.sleep(connection.eject_seconds + 2)
        await load.more(300)
        second.signal(signal.SIGTERM)
        assert await asyncio.to_thread(second.process.wait, 30) == 0
        await load.more(300)
    assert load.failures == []


async def test_a_replica_that_hangs_is_left_alone(replicas: tuple[Replica, Replica]) -> None:
    first, _ = replicas
    async with load_on(replicas, ConnectionSettings()) as load:
        first.signal(signal.SIGSTOP)
        async with asyncio.timeout(60):
            while True:
                failed = len(load.failures)
                await load.more(400)
                if len(load.failures) == failed:
                    break
        first.signal(signal.SIGCONT)


async def test_connections_that_are_made_anew_fail_no_call(replicas: tuple[Replica, Replica]) -> None:
    for replica in replicas:
        replica.end()
        replica._environment["MERCATO_CONNECTION_MAX_AGE_SECONDS"] = "1"
        replica.start()
    async with load_on(replicas, ConnectionSettings()) as load:
        began = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - began < 4:
            await load.more(50)
    assert load.failures == []
