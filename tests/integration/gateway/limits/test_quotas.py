"""Quotas over several real gateway processes on one database."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from mercato.gateway.v1 import product_service_pb2 as pb
from mercato.gateway.v1.product_service_pb2_grpc import ProductServiceStub

PROJECT = Path(__file__).parents[4]
RATE, BURST, SECONDS = 40, 40, 4.0
TOLERANCE = 0.1


def start(dsn: str, data: Path) -> tuple[str, subprocess.Popen[bytes]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    environment = {
        **os.environ,
        "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'shared' / 'protogen'}",
        "MERCATO_POSTGRES_DSN": dsn,
        "MERCATO_DATA": str(data),
        "MERCATO_GATEWAY_LISTEN": address,
        "MERCATO_GATEWAY_ACCESS_LOG": "false",
        "MERCATO_GATEWAY_QUOTA_TENANT_PER_SECOND": str(RATE),
        "MERCATO_GATEWAY_QUOTA_BURST_SECONDS": str(BURST / RATE),
        "MERCATO_GATEWAY_QUOTA_POLL_SECONDS": "0.1",
    }
    command = [sys.executable, "-m", "services.gateway"]
    return address, subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=subprocess.DEVNULL)


@asynccontextmanager
async def gateways(count: int, dsn: str, data: Path) -> AsyncIterator[list[grpc.aio.Channel]]:
    """Channels to gateways that serve; the services behind them are down, which costs a quota all the same."""
    started = [start(dsn, data) for _ in range(count)]
    channels = [grpc.aio.insecure_channel(address) for address, _ in started]
    try:
        await asyncio.gather(*(serving(channel) for channel in channels))
        yield channels
    finally:
        for channel in channels:
            await channel.close()
        for _, process in started:
            process.kill()
            process.wait()


async def serving(channel: grpc.aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    async with asyncio.timeout(60):
        while True:
            try:
                answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=2)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.aio.AioRpcError:
                pass
            await asyncio.sleep(0.05)


async def ask(channel: grpc.aio.Channel, tenant: str) -> grpc.aio.AioRpcError:
    """The error of one call: UNAVAILABLE when the quota let it pass."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ProductServiceStub(channel).GetProduct(
            pb.GetProductRequest(product_id="p"), metadata=(("mercato-tenant", tenant),), timeout=5
        )
    return caught.value


def info_of(error: grpc.aio.AioRpcError) -> Any:
    status = rpc_status.from_call(error)
    assert status is not None
    return error_details_pb2.ErrorInfo.FromString(status.details[0].value)


def limited(error: grpc.aio.AioRpcError) -> bool:
    return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and info_of(error).reason == "RATE_LIMITED"


@pytest.mark.parametrize("count", [1, 2, 4])
async def test_all_gateways_together_keep_a_quota(count: int, postgres_database: str, tmp_path: Path) -> None:
    async with gateways(count, postgres_database, tmp_path) as channels:
        loop = asyncio.get_running_loop()
        passed, end = 0, loop.time() + SECONDS
        began = loop.time()

        async def hammer(channel: grpc.aio.Channel) -> None:
            nonlocal passed
            while loop.time() < end:
                if limited(await ask(channel, "shop")):
                    await asyncio.sleep(0.02)
                else:
                    passed += 1

        await asyncio.gather(*(hammer(channel) for channel in channels for _ in range(4)))
        allowed = BURST + RATE * (loop.time() - began)
    assert (1 - TOLERANCE) * allowed <= passed <= allowed + 1


async def test_tenants_have_quotas_of_their_own_and_an_override_counts(postgres_database: str, tmp_path: Path) -> None:
    async with gateways(1, postgres_database, tmp_path) as channels:
        async with asyncio.timeout(30):
            while not limited(error := await ask(channels[0], "greedy")):
                pass
        assert dict(info_of(error).metadata)["scope"] == "tenant"
        assert dict(info_of(error).metadata)["limit"] == str(RATE)
        status = rpc_status.from_call(error)
        assert status is not None
        assert any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details)
        assert not limited(await ask(channels[0], "modest"))
        command = [sys.executable, "-m", "services.gateway.quota", "set", "greedy", "--per-second", "0"]
        environment = {
            **os.environ,
            "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'shared' / 'protogen'}",
            "MERCATO_POSTGRES_DSN": postgres_database,
        }
        await asyncio.to_thread(subprocess.run, command, cwd=PROJECT, env=environment, check=True)
        async with await psycopg.AsyncConnection.connect(postgres_database) as open_:
            acts = await open_.execute(
                "SELECT tenant_id, actor, action, outcome FROM gateway.audit_events JOIN gateway.audit_outcomes USING (event_number)"
            )
            assert await acts.fetchall() == [("greedy", "machine", "Quota/Set", "OK")]
        async with asyncio.timeout(30):
            while any([limited(await ask(channels[0], "greedy")) for _ in range(2 * BURST)]):
                pass
