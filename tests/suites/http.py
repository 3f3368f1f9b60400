"""HTTP as a test needs it: one request, its status, headers, trailers and body."""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any

JSON = {"content-type": "application/json"}
TRAILERS = 0x80


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def reason(self) -> str:
        """The reason of an error."""
        return str(self.detail("ErrorInfo")["reason"])

    def detail(self, kind: str) -> dict[str, Any]:
        """The detail of one kind, ``ErrorInfo`` or another, of an error."""
        found = [one for one in self.json["details"] if one["@type"] == f"type.googleapis.com/google.rpc.{kind}"]
        assert found, self.body
        return dict(found[0])


def request(
    address: str, verb: str, path: str, body: Any = None, headers: dict[str, str] | None = None, seconds: float = 60
) -> Answer:
    """Sends JSON, or bytes as they are."""
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection = HTTPConnection(address, timeout=seconds)
    try:
        connection.request(verb, path, sent, {**({} if sent is None else JSON), **(headers or {})})
        answer: HTTPResponse = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def raw(address: str, text: bytes, seconds: float = 10) -> bytes:
    """Sends bytes as they are and returns all that comes before the end of the connection."""
    host, _, port = address.rpartition(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        connection.sendall(text)
        while part := connection.recv(65536):
            received += part
    return received


def grpc_web(
    address: str, method: str, message: bytes, headers: dict[str, str] | None = None
) -> tuple[bytes, dict[str, str]]:
    """One call in the framing of gRPC-Web: the messages joined, and the trailers (of the body or of the headers)."""
    sent = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", **(headers or {})}
    answer = request(address, "POST", method, struct.pack(">BI", 0, len(message)) + message, sent)
    messages, trailers, rest = b"", dict(answer.headers), answer.body
    while rest:
        flag, length = struct.unpack(">BI", rest[:5])
        part, rest = rest[5 : 5 + length], rest[5 + length :]
        if flag & TRAILERS:
            lines = (line.split(":", 1) for line in part.decode().split("\r\n") if line)
            trailers |= {name.strip().lower(): value.strip() for name, value in lines}
        else:
            messages += part
    return messages, trailers
