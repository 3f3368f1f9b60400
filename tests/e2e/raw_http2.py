"""An HTTP/2 client without manners, for what a gRPC library would refuse to send."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events


@dataclass
class Answer:
    """What the server said to one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    reset: bool = False
    closed: bool = False
    """Whether the server ended the connection."""

    @property
    def grpc_status(self) -> int | None:
        """The status in headers or trailers."""
        text = self.headers.get("grpc-status")
        return int(text) if text is not None else None


def framed(message: bytes, *, compressed: int = 0, length: int | None = None) -> bytes:
    """A length-prefixed gRPC message."""
    return struct.pack(">BI", compressed, len(message) if length is None else length) + message


class RawConnection:
    """One connection; headers and data are sent as they are."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        config = h2.config.H2Configuration(
            client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="utf-8"
        )
        self._h2 = h2.connection.H2Connection(config)
        self._answers: dict[int, Answer] = {}
        self._ended: set[int] = set()

    async def __aenter__(self) -> RawConnection:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        self._h2.initiate_connection()
        await self._flush()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def send(
        self,
        path: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        method: str = "POST",
        end: bool = True,
        content_type: str = "application/grpc",
    ) -> int:
        """Sends a request, or its beginning, and returns its stream."""
        stream = self._h2.get_next_available_stream_id()
        first = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "gateway")]
        rest = [("content-type", content_type), ("te", "trailers"), *headers]
        self._h2.send_headers(stream, [*first, *rest])
        for start in range(0, len(body), 16_000):
            while self._h2.local_flow_control_window(stream) < 16_000:
                await self._flush()
                if not await self._receive():
                    return stream
            self._h2.send_data(stream, body[start : start + 16_000])
        if end:
            self._h2.end_stream(stream)
        await self._flush()
        return stream

    async def open_and_reset(self, path: str, headers: Sequence[tuple[str, str]]) -> None:
        """Opens a stream and gives it up at once."""
        stream = self._h2.get_next_available_stream_id()
        first = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "gateway")]
        self._h2.send_headers(stream, [*first, ("content-type", "application/grpc"), ("te", "trailers"), *headers])
        self._h2.reset_stream(stream)
        await self._flush()

    async def answer(self, stream: int, seconds: float = 20) -> Answer:
        """The answer to a stream, once it is whole. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            found = self._answers.setdefault(stream, Answer())
            while not (found.reset or found.closed or stream in self._ended):
                if not await self._receive():
                    found.closed = True
            return found

    async def _receive(self) -> bool:
        """Takes in what the server sent next; False: it closed the connection."""
        data = await self._reader.read(65_536)
        if not data:
            return False
        for event in self._h2.receive_data(data):
            self._note(event)
        await self._flush()
        return True

    def _note(self, event: h2.events.Event) -> None:
        stream = getattr(event, "stream_id", None) or 0
        answer = self._answers.setdefault(stream, Answer())
        if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            answer.headers |= {str(key): str(value) for key, value in event.headers or ()}
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data or b""
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = True
        elif isinstance(event, h2.events.StreamEnded):
            self._ended.add(stream)

    async def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())
        await self._writer.drain()
