import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from shared.server.bootstrap import serve_in_process
from shared.server.health import HealthMonitor
from shared.server.parts import ServiceParts
from shared.settings.base import ServiceSettings

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE = "mercato.test.v1.EchoService"


async def same(text: str) -> str:
    return text


class Dependency:
    def __init__(self, up: bool = True) -> None:
        self.up = up

    async def check(self) -> None:
        if not self.up:
            raise RuntimeError("down")


async def status(client: Any, service: str) -> int:
    response = await health_pb2_grpc.HealthStub(client.channel).Check(health_pb2.HealthCheckRequest(service=service))
    return int(response.status)


async def reaches(client: Any, service: str, wanted: int) -> None:
    async with asyncio.timeout(10):
        while await status(client, service) != wanted:
            await asyncio.sleep(0.01)


async def test_a_critical_dependency_takes_the_service_down_and_back(serve_echo: Any) -> None:
    postgres, encoder = Dependency(), Dependency(up=False)
    parts = {
        "dependencies": {"postgres": postgres.check, "encoder": encoder.check},
        "critical": frozenset({"postgres"}),
    }
    async with serve_echo(same, parts=parts, health_interval_seconds=0.01) as client:
        assert await status(client, "") == SERVING
        assert await status(client, SERVICE) == SERVING
        assert await status(client, "dependency:postgres") == SERVING
        assert await status(client, "dependency:encoder") == NOT_SERVING
        postgres.up = False
        for service in ("", SERVICE, "dependency:postgres"):
            await reaches(client, service, NOT_SERVING)
        postgres.up = encoder.up = True
        for service in ("", SERVICE, "dependency:postgres", "dependency:encoder"):
            await reaches(client, service, SERVING)


async def test_a_dependency_that_hangs_is_down(serve_echo: Any) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    parts = {"dependencies": {"triton": hang}}
    async with serve_echo(same, parts=parts, health_timeout_seconds=0.01) as client:
        assert await status(client, "dependency:triton") == NOT_SERVING
        assert await status(client, "") == SERVING


async def test_an_unknown_service_is_not_found(serve_echo: Any) -> None:
    async with serve_echo(same) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await status(client, "mercato.nothing")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_the_services(serve_echo: Any) -> None:
    async with serve_echo(same) as client:
        stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)

        async def ask() -> Any:
            yield reflection_pb2.ServerReflectionRequest(list_services="")

        names = set()
        async for response in stub.ServerReflectionInfo(ask()):
            names |= {service.name for service in response.list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= names


def test_a_critical_dependency_needs_a_check() -> None:
    with pytest.raises(ValueError, match="postgres"):
        ServiceParts(name="x", servicers=(), critical=frozenset({"postgres"}))


async def test_liveness_does_not_follow_dependencies(serve_echo: Any) -> None:
    postgres = Dependency(up=False)
    parts = {"dependencies": {"postgres": postgres.check}, "critical": frozenset({"postgres"})}
    async with serve_echo(same, parts=parts) as client:
        assert await status(client, "") == NOT_SERVING
        assert await status(client, "liveness") == SERVING


@asynccontextmanager
async def with_http(parts: ServiceParts) -> AsyncIterator[Callable[[str], Awaitable[int]]]:
    """A server with the HTTP endpoint; the status code of a path."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def ask(path: str) -> int:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path)
        return connection.getresponse().status

    settings = ServiceSettings(metrics_port=port, drain_seconds=0.0, health_interval_seconds=0.05)
    async with serve_in_process(parts, settings):
        yield lambda path: asyncio.to_thread(ask, path)


async def test_http_says_the_same_to_those_who_cannot_ask_by_grpc() -> None:
    up = False

    async def dependency() -> None:
        if not up:
            raise ConnectionError("away")

    parts = ServiceParts(
        name="catalog", servicers=(), dependencies={"postgres": dependency}, critical=frozenset({"postgres"})
    )
    async with with_http(parts) as status:
        assert await status("/livez") == 200
        assert await status("/readyz") == 503
        up = True
        async with asyncio.timeout(10):
            while await status("/readyz") != 200:
                await asyncio.sleep(0.02)
        assert await status("/metrics") == 200


async def test_a_loop_that_does_not_come_round_does_not_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = HealthMonitor(ServiceParts(name="catalog", servicers=()), ServiceSettings())
    await monitor.check()
    assert (monitor.lives(), monitor.ready()) == (True, True)
    later = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert not monitor.lives()


async def test_what_drains_lives_and_is_not_ready() -> None:
    monitor = HealthMonitor(ServiceParts(name="catalog", servicers=()), ServiceSettings())
    await monitor.check()
    await monitor.drain()
    assert (monitor.lives(), monitor.ready()) == (True, False)
