"""What happens to writes when connections or the process die."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc
import psycopg
from mercato.profile.v1 import profile_service_pb2 as pb
from mercato.profile.v1.profile_service_pb2_grpc import ProfileServiceStub

from services.profile.converters.events import message_of
from services.profile.domain.event import Event
from services.profile.settings import ProfileSettings
from services.profile.wiring import build
from shared.server.bootstrap import serve_in_process
from tests.fakes.profile.events import purchase, view

PROJECT = Path(__file__).parents[3]
NOWHERE = "127.0.0.1:1"


def now_us() -> int:
    return time.time_ns() // 1_000


async def write(stub: ProfileServiceStub, *events: Event, wait_for_ready: bool = True) -> pb.WriteUserEventsResponse:
    request = pb.WriteUserEventsRequest(events=map(message_of, events))
    return await stub.WriteUserEvents(request, wait_for_ready=wait_for_ready)


async def state_of(stub: ProfileServiceStub) -> pb.GetEventStateResponse:
    """The state once the process answers; the connection to one that was killed may break only when it is used."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await stub.GetEventState(pb.GetEventStateRequest(), wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise


async def test_a_transaction_killed_before_its_commit_stores_nothing(postgres_database: str) -> None:
    settings = ProfileSettings(
        postgres_dsn=postgres_database, catalog_address=NOWHERE, pseudonym_key="key of the tests"
    )
    async with (
        build(settings) as parts,
        serve_in_process(parts) as address,
        grpc.aio.insecure_channel(address) as channel,
        await psycopg.AsyncConnection.connect(postgres_database) as blocker,
        await psycopg.AsyncConnection.connect(postgres_database, autocommit=True) as killer,
    ):
        stub = ProfileServiceStub(channel)
        await write(stub, view("a", event_id="first", user_id="u", at=now_us()))
        await blocker.execute("SELECT 1 FROM profile.people FOR UPDATE")
        second = view("b", event_id="second", user_id="u", at=now_us())
        call = asyncio.create_task(write(stub, second))
        waiting = (
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'mercato-profile' AND wait_event_type = 'Lock' AND datname = current_database()"
        )
        async with asyncio.timeout(20):
            while not (await (await killer.execute(waiting)).fetchall()):
                await asyncio.sleep(0.02)
        await blocker.rollback()
        try:
            await call
        except grpc.aio.AioRpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE
        else:
            raise AssertionError("acknowledged though its transaction was killed")
        state = await stub.GetEventState(pb.GetEventStateRequest())
        assert state.event_count == 1
        assert (await write(stub, second)).accepted_count == 1
        assert (await write(stub, second)).duplicate_count == 1


async def test_a_killed_process_loses_and_doubles_nothing(postgres_database: str, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    start = now_us()
    batches = [
        [
            purchase("a", "b", event_id=f"e-{n}-{item}", user_id=f"u-{item}", visitor_id=f"v-{n}", at=start - n * 10**9)
            for item in range(20)
        ]
        for n in range(40)
    ]
    acknowledged: set[int] = set()
    process = serve(postgres_database, address, tmp_path / "first.log")
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            stub = ProfileServiceStub(channel)

            # Few enough at once that some are still to be sent when it is killed, and those fail instead of waiting.
            turns = asyncio.Semaphore(12)

            async def send(number: int) -> None:
                async with turns:
                    answer = await write(stub, *batches[number], wait_for_ready=len(acknowledged) < 8)
                    assert answer.accepted_count + answer.duplicate_count == 20
                    acknowledged.add(number)
                    if len(acknowledged) == 8:
                        process.send_signal(signal.SIGKILL)

            results = await asyncio.gather(*map(send, range(40)), return_exceptions=True)
            assert any(isinstance(result, grpc.aio.AioRpcError) for result in results), "killed in the middle"
            process.wait(10)
            process = serve(postgres_database, address, tmp_path / "second.log")
            assert (await state_of(stub)).event_count >= len(acknowledged) * 20
            for number in acknowledged:
                assert (await write(stub, *batches[number])).duplicate_count == 20
            for number in range(40):
                await write(stub, *batches[number])
            state = await stub.GetEventState(pb.GetEventStateRequest())
            assert (state.event_count, state.user_count) == (800, 20)
    finally:
        process.kill()
        process.wait(10)


def serve(dsn: str, address: str, log: Path) -> subprocess.Popen[bytes]:
    """The service in a process of its own."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{PROJECT}:{PROJECT / 'shared' / 'protogen'}",
        "MERCATO_POSTGRES_DSN": dsn,
        "MERCATO_PROFILE_LISTEN": address,
        "MERCATO_CATALOG_ADDRESS": NOWHERE,
        "MERCATO_PROFILE_PSEUDONYM_KEY": "key of the tests",
    }
    with log.open("wb") as output:
        return subprocess.Popen([sys.executable, "-m", "services.profile"], env=environment, cwd=PROJECT, stderr=output)
