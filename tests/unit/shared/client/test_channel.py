"""``open_channel`` against real servers that come and go."""

import asyncio
import socket
from typing import Any

import grpc
import pytest

from shared.client.channel import channel_check, open_channel
from shared.client.failures import CircuitOpen, remote_errors
from shared.context.request import (
    current_request_id,
    current_tenant,
    remaining_seconds,
    use_deadline,
    use_request_id,
    use_tenant,
)
from shared.errors.base import DeadlineExceeded, NotFound, Unavailable
from shared.server.bootstrap import serve_in_process
from shared.settings.base import ServiceSettings

KINDS = ["UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream"]


async def same(text: str) -> str:
    return text


@pytest.fixture
def free_address() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("kind", KINDS)
async def test_tenant_and_request_id_are_passed_on(kind: str, serve_echo_with_our_channel: Any) -> None:
    async def who(text: str) -> str:
        return f"{current_tenant()} {current_request_id()}"

    async with serve_echo_with_our_channel(who) as client:
        with use_tenant("shop-1"), use_request_id("r-1"):
            assert (await client.call(kind))[-1] == "shop-1 r-1"


@pytest.mark.parametrize("kind", KINDS)
async def test_the_deadline_shrinks(kind: str, serve_echo_with_our_channel: Any) -> None:
    async def left(text: str) -> str:
        return str(remaining_seconds())

    async with serve_echo_with_our_channel(left) as client:
        with use_deadline(2.0):
            # gRPC's own clock is coarse: allow a tenth of a second.
            assert 0 < float((await client.call(kind))[-1]) < 2.1
            assert 0 < float((await client.call(kind, timeout=0.9))[-1]) < 1.0
            assert 0 < float((await client.call(kind, timeout=60))[-1]) < 2.1


async def test_a_unary_call_has_a_time_limit_of_its_own(serve_echo_with_our_channel: Any) -> None:
    async def hang(text: str) -> str:
        await asyncio.Event().wait()
        return text

    async with serve_echo_with_our_channel(hang, default_timeout_seconds=0.05) as client:
        with pytest.raises(DeadlineExceeded), remote_errors("echo"):
            await client.say("x")


@pytest.mark.parametrize("kind", KINDS)
async def test_no_call_without_time_left(kind: str, serve_echo_with_our_channel: Any) -> None:
    async with serve_echo_with_our_channel(same) as client:
        with use_deadline(0.0), pytest.raises(DeadlineExceeded, match="no time left to call echo"):
            await client.call(kind)


@pytest.mark.parametrize("kind", KINDS)
async def test_remote_errors_are_domain_errors(kind: str, serve_echo_with_our_channel: Any) -> None:
    async def missing(text: str) -> str:
        raise NotFound("product", "p-1")

    async with serve_echo_with_our_channel(missing) as client:
        with pytest.raises(NotFound) as caught, remote_errors("echo"):
            await client.call(kind)
    assert caught.value.metadata == {"product_id": "p-1"}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_missing_peer_opens_the_circuit(kind: str, free_address: str, make_echo_client: Any) -> None:
    async with open_channel(free_address, service="echo", idempotent=()) as channel:
        client = make_echo_client(channel)
        async with asyncio.timeout(10):
            while True:
                with pytest.raises(Unavailable) as caught, remote_errors("echo"):
                    await client.call(kind)
                assert caught.value.metadata == {"dependency": "echo"}
                if isinstance(caught.value, CircuitOpen):
                    return


async def test_an_answered_error_does_not_open_the_circuit(serve_echo_with_our_channel: Any) -> None:
    calls = 0

    async def broken(text: str) -> str:
        nonlocal calls
        calls += 1
        raise Unavailable("postgres")

    async with serve_echo_with_our_channel(broken) as client:
        for _ in range(10):
            with pytest.raises(Unavailable) as caught, remote_errors("echo"):
                await client.say("x")
            assert caught.value.metadata == {"dependency": "postgres"}
    assert calls == 10  # neither retried nor cut off


async def test_a_peer_that_comes_back_is_used_again(
    free_address: str, make_echo_client: Any, make_echo_parts: Any
) -> None:
    settings = ServiceSettings(listen=free_address, drain_seconds=0)
    async with open_channel(free_address, service="echo") as channel:
        client = make_echo_client(channel)
        for _ in range(2):
            async with serve_in_process(make_echo_parts(same), settings):
                async with asyncio.timeout(10):
                    while not await answers(client):
                        await asyncio.sleep(0.01)
            async with asyncio.timeout(10):
                while not await is_cut_off(client):
                    pass


async def answers(client: Any) -> bool:
    try:
        return bool(await client.say("x", timeout=1) == "x")
    except grpc.aio.AioRpcError:
        return False


async def is_cut_off(client: Any) -> bool:
    try:
        await client.say("x", timeout=1)
    except CircuitOpen:
        return True
    except grpc.aio.AioRpcError:
        return False
    return False


async def test_a_restart_is_bridged_by_retries(free_address: str, make_echo_client: Any, make_echo_parts: Any) -> None:
    """A peer that drops the first connection and then answers: the caller sees one good answer."""
    drops = 0

    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal drops
        drops += 1
        writer.close()

    host, port = free_address.split(":")
    dropper = await asyncio.start_server(drop, host, int(port))
    async with open_channel(free_address, service="echo") as channel:
        client = make_echo_client(channel)
        with pytest.raises(Unavailable), remote_errors("echo"):
            await client.say("x")
        dropper.close()
        await dropper.wait_closed()
        async with serve_in_process(make_echo_parts(same), ServiceSettings(listen=free_address, drain_seconds=0)):
            async with asyncio.timeout(10):
                while not await answers(client):
                    await asyncio.sleep(0.01)
    assert drops >= 1


async def test_channel_check(free_address: str, make_echo_parts: Any) -> None:
    async with open_channel(free_address, service="echo", idempotent=()) as channel:
        check = channel_check(channel, "echo")
        with pytest.raises(grpc.aio.AioRpcError):
            await check()
        down = {"dependencies": {"db": failing}, "critical": frozenset({"db"})}
        async with serve_in_process(
            make_echo_parts(same, **down), ServiceSettings(listen=free_address, drain_seconds=0)
        ):
            async with asyncio.timeout(10):
                while True:
                    try:
                        await check()
                    except grpc.aio.AioRpcError:
                        await asyncio.sleep(0.01)
                    except Unavailable:
                        return


async def failing() -> None:
    raise RuntimeError("down")
