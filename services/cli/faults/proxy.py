"""A TCP proxy that can be slow, and that can cut its connections in the middle of a stream."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from types import TracebackType
from typing import Self

CHUNK = 64 * 1024
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST instead of FIN."""


class TcpProxy:
    """`async with TcpProxy("127.0.0.1:5432") as proxy`: clients use `proxy.address`."""

    def __init__(self, target: str, address: str = "127.0.0.1:0") -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._listen = address
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.address = address
        self.delay_seconds = 0.0
        """How much later each piece arrives, in both directions; order and bandwidth stay."""

    async def __aenter__(self) -> Self:
        host, _, port = self._listen.rpartition(":")
        self._server = await asyncio.start_server(self._accept, host, int(port))
        self.address = "{}:{}".format(*self._server.sockets[0].getsockname()[:2])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def reset(self) -> int:
        """Cuts every connection with RST on both sides, whatever is under way; returns how many."""
        for connection in self._connections:
            connection.cancel()
        return len(self._connections)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        ends = [writer]
        try:
            away_reader, away_writer = await asyncio.open_connection(self._host, self._port)
            ends.append(away_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, away_writer))
                both.create_task(self._pump(away_reader, writer))
        except (asyncio.CancelledError, OSError, ExceptionGroup):
            for end in ends:
                _linger(end)
        finally:
            for end in ends:
                end.transport.abort()
            self._connections.discard(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Moves bytes; what is delayed is read on meanwhile, so that it is latency and not a smaller pipe."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, piece = await queue.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                if not piece:
                    with contextlib.suppress(OSError):
                        sink.write_eof()
                    return
                sink.write(piece)
                await sink.drain()

        loop = asyncio.get_running_loop()
        delivering = asyncio.create_task(deliver())
        try:
            while piece := await source.read(CHUNK):
                await queue.put((loop.time() + self.delay_seconds, piece))
            await queue.put((loop.time() + self.delay_seconds, b""))
            await delivering
        finally:
            delivering.cancel()


def _linger(end: asyncio.StreamWriter) -> None:
    """Makes the end of a connection a reset."""
    peer: socket.socket | None = end.get_extra_info("socket")
    if peer is not None:
        with contextlib.suppress(OSError):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
