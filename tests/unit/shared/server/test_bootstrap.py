"""``run`` as a process: start, serve, drain, stop, and what it says when it cannot."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

PROGRAM = """
import asyncio, sys
from contextlib import asynccontextmanager
from mercato.encoder.v1 import encoder_service_pb2 as pb, encoder_service_pb2_grpc as pb_grpc
from shared.errors.base import Unavailable
from shared.server.bootstrap import run
from shared.server.parts import ServiceParts, Servicer
from shared.settings.base import ServiceSettings, service_config

class Settings(ServiceSettings):
    model_config = service_config("encoder")
    mode: str = "ok"

class Encoder(pb_grpc.EncoderServiceServicer):
    async def EncodeTexts(self, request, context):
        print("entered", flush=True)
        await asyncio.sleep(float(request.texts[0]))
        return pb.EncodeTextsResponse(dimension=7)

async def forever():
    try:
        await asyncio.Event().wait()
    finally:
        print("background cancelled", flush=True)

@asynccontextmanager
async def build(settings):
    if settings.mode == "down":
        raise Unavailable("postgres")
    if settings.mode == "slow":
        print("building", flush=True)
        await asyncio.sleep(60)
    try:
        add = pb_grpc.add_EncoderServiceServicer_to_server
        servicer = Servicer(pb.DESCRIPTOR.services_by_name["EncoderService"], add, Encoder())
        yield ServiceParts(name="encoder", servicers=(servicer,), background=(forever,))
    finally:
        print("closed", flush=True)

run(Settings(), build)
"""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Process:
    def __init__(self, folder: Path, **environment: str) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        variables = {"MERCATO_ENCODER_LISTEN": self.address, **environment}
        paths = os.pathsep.join(path for path in sys.path if path)
        self.errors = folder / f"stderr-{self.port}"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                env={**os.environ, "PYTHONPATH": paths, **variables},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def wait_serving(self) -> grpc.Channel:
        channel = grpc.insecure_channel(self.address)
        stub = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=20).status == 1
        return channel

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def finish(self) -> tuple[int, str, str]:
        out, _ = self.process.communicate(timeout=20)
        return self.process.returncode, out, self.errors.read_text()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    started: list[Process] = []

    def begin(**environment: str) -> Process:
        started.append(Process(tmp_path, **environment))
        return started[-1]

    yield begin
    for process in started:
        process.process.kill()
        process.process.communicate()


def encode(channel: grpc.Channel, seconds: str) -> Any:
    from mercato.encoder.v1 import encoder_service_pb2 as pb
    from mercato.encoder.v1 import encoder_service_pb2_grpc as pb_grpc

    return pb_grpc.EncoderServiceStub(channel).EncodeTexts.future(pb.EncodeTextsRequest(texts=[seconds]), timeout=20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_call_is_finished_before_the_end(number: signal.Signals, start: Any) -> None:
    process = start()
    with process.wait_serving() as channel:
        call = encode(channel, "0.5")
        assert process.line() == "entered"
        process.process.send_signal(number)
        assert call.result().dimension == 7
    code, out, errors = process.finish()
    assert (code, out.split("\n")) == (0, ["background cancelled", "closed", ""])
    assert "Traceback" not in errors
    assert [text in errors for text in ('"serving"', '"draining"', '"stopped"')] == [True] * 3


def test_a_call_that_takes_too_long_is_cancelled(start: Any) -> None:
    process = start(MERCATO_ENCODER_DRAIN_SECONDS="0.2")
    with process.wait_serving() as channel:
        call = encode(channel, "60")
        assert process.line() == "entered"
        process.process.terminate()
        assert call.exception().code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    assert process.finish()[0] == 0


def test_a_taken_port_is_one_line_and_status_one(start: Any) -> None:
    first = start()
    first.wait_serving().close()
    second = start(MERCATO_ENCODER_LISTEN=first.address)
    code, out, errors = second.finish()
    assert (code, out) == (1, "closed\n")
    assert f"mercato-encoder: cannot start: cannot listen on {first.address}" in errors
    assert "Traceback" not in errors


def test_a_taken_metrics_port_is_one_line_and_status_one(start: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, _, errors = start(MERCATO_ENCODER_METRICS_PORT=str(taken.getsockname()[1])).finish()
    assert code == 1
    assert "cannot serve metrics on 127.0.0.1:" in errors
    assert "Traceback" not in errors


def test_a_missing_dependency_is_one_line_and_status_one(start: Any) -> None:
    code, _, errors = start(MERCATO_ENCODER_MODE="down").finish()
    assert code == 1
    assert errors.strip() == "mercato-encoder: cannot start: postgres is unavailable"


def test_a_signal_during_the_start_ends_it(start: Any) -> None:
    process = start(MERCATO_ENCODER_MODE="slow")
    assert process.line() == "building"
    process.process.terminate()
    code, _, errors = process.finish()
    assert code == 0
    assert "Traceback" not in errors


def test_metrics_are_served(start: Any) -> None:
    port = free_port()
    process = start(MERCATO_ENCODER_METRICS_PORT=str(port))
    with process.wait_serving() as channel:
        assert encode(channel, "0").result().dimension == 7
        wanted = 'mercato_server_calls_total{code="OK",method="/mercato.encoder.v1.EncoderService/EncodeTexts"} 1.0'
        give_up = time.monotonic() + 10
        while wanted not in fetch(port):
            assert time.monotonic() < give_up


def fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        return str(response.read().decode())
