"""The proxy that makes networks slow and cuts them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from services.cli.faults.proxy import TcpProxy


@pytest.fixture
async def proxy() -> AsyncIterator[TcpProxy]:
    """In front of a server that says everything again."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(1000):
                writer.write(piece)
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with TcpProxy(f"{host}:{port}") as opened:
        yield opened
    server.close()


async def connect(proxy: TcpProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = proxy.address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def test_bytes_and_ends_pass_in_both_directions(proxy: TcpProxy) -> None:
    reader, writer = await connect(proxy)
    content = bytes(range(256)) * 2000
    writer.write(content)
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(-1), 10) == content
    writer.close()


async def test_a_delay_holds_back_each_direction_and_keeps_the_order(proxy: TcpProxy) -> None:
    reader, writer = await connect(proxy)
    proxy.delay_seconds = 0.1
    began = time.monotonic()
    for piece in (b"one ", b"two ", b"three"):
        writer.write(piece)
        await asyncio.sleep(0.01)
    assert await asyncio.wait_for(reader.readexactly(13), 10) == b"one two three"
    assert time.monotonic() - began >= 0.2
    writer.close()


async def test_a_reset_ends_what_is_under_way_and_new_connections_work(proxy: TcpProxy) -> None:
    reader, writer = await connect(proxy)
    writer.write(b"hello")
    assert await asyncio.wait_for(reader.readexactly(5), 10) == b"hello"
    assert proxy.reset() == 1
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(1), 10)
    reader, writer = await connect(proxy)
    writer.write(b"again")
    assert await asyncio.wait_for(reader.readexactly(5), 10) == b"again"
    writer.close()


async def test_a_server_that_is_away_refuses_through_the_proxy_too() -> None:
    async with TcpProxy("127.0.0.1:1") as proxy:
        reader, writer = await connect(proxy)
        with pytest.raises(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(1), 10)
            raise ConnectionResetError
        writer.close()
