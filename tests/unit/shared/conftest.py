"""A service with all four kinds of method, whose behaviour each test chooses, behind the real server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, wrappers_pb2

from shared.client.channel import open_channel
from shared.server.bootstrap import serve_in_process
from shared.server.parts import ServiceParts, Servicer
from shared.settings.base import ServiceSettings

SERVICE = "mercato.test.v1.EchoService"
KINDS = ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream")
Text = wrappers_pb2.StringValue


def _descriptor() -> Any:
    pool = descriptor_pool.Default()
    try:
        return pool.FindServiceByName(SERVICE)
    except KeyError:
        pass
    file = descriptor_pb2.FileDescriptorProto(name="echo_service.proto", package="mercato.test.v1", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    service = file.service.add(name="EchoService")
    for kind in KINDS:
        service.method.add(
            name=kind,
            input_type=".google.protobuf.StringValue",
            output_type=".google.protobuf.StringValue",
            client_streaming=kind.startswith("Stream"),
            server_streaming=kind.endswith("Stream"),
        )
    pool.Add(file)
    return pool.FindServiceByName(SERVICE)


@dataclass
class Echo:
    """Answers every message with what ``handle`` makes of it; streams answer each message twice."""

    handle: Callable[[str], Awaitable[str]]

    async def unary_unary(self, request: Any, context: Any) -> Any:
        return Text(value=await self.handle(request.value))

    async def unary_stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield Text(value=request.value)
        yield Text(value=await self.handle(request.value))

    async def stream_unary(self, requests: AsyncIterator[Any], context: Any) -> Any:
        return Text(value="".join([await self.handle(request.value) async for request in requests]))

    async def stream_stream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield Text(value=request.value)
            yield Text(value=await self.handle(request.value))


def add_to_server(echo: Echo, server: Any) -> None:
    coders = {"request_deserializer": Text.FromString, "response_serializer": Text.SerializeToString}
    handlers = {
        "UnaryUnary": grpc.unary_unary_rpc_method_handler(echo.unary_unary, **coders),
        "UnaryStream": grpc.unary_stream_rpc_method_handler(echo.unary_stream, **coders),
        "StreamUnary": grpc.stream_unary_rpc_method_handler(echo.stream_unary, **coders),
        "StreamStream": grpc.stream_stream_rpc_method_handler(echo.stream_stream, **coders),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


class EchoClient:
    """Calls the service in all four ways."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        coders = {"request_serializer": Text.SerializeToString, "response_deserializer": Text.FromString}
        self.channel = channel
        self.unary_unary = channel.unary_unary(f"/{SERVICE}/UnaryUnary", **coders)
        self.unary_stream = channel.unary_stream(f"/{SERVICE}/UnaryStream", **coders)
        self.stream_unary = channel.stream_unary(f"/{SERVICE}/StreamUnary", **coders)
        self.stream_stream = channel.stream_stream(f"/{SERVICE}/StreamStream", **coders)

    async def say(self, text: str, **options: Any) -> str:
        response = await self.unary_unary(Text(value=text), **options)
        return response.value

    async def call(self, kind: str, text: str = "x", **options: Any) -> list[str]:
        """The responses of one call of the given kind with one message."""
        request = Text(value=text)
        if kind == "UnaryUnary":
            return [(await self.unary_unary(request, **options)).value]
        if kind == "StreamUnary":
            return [(await self.stream_unary(_once(request), **options)).value]
        if kind == "UnaryStream":
            return [response.value async for response in self.unary_stream(request, **options)]
        return [response.value async for response in self.stream_stream(_once(request), **options)]


async def _once(request: Any) -> AsyncIterator[Any]:
    yield request


def echo_parts(handle: Callable[[str], Awaitable[str]], **changes: Any) -> ServiceParts:
    servicer = Servicer(_descriptor(), add_to_server, Echo(handle))
    return ServiceParts(name="echo", servicers=(servicer,), **changes)


def settings(**changes: Any) -> ServiceSettings:
    return ServiceSettings(**{"drain_seconds": 0.0, **changes})


ServeEcho = Callable[..., AbstractAsyncContextManager[EchoClient]]


@pytest.fixture
def serve_echo() -> ServeEcho:
    """``async with serve_echo(handle) as client``: a bare client, so that tests see what any client sees."""

    @asynccontextmanager
    async def serve(
        handle: Callable[[str], Awaitable[str]], *, parts: dict[str, Any] | None = None, **changes: Any
    ) -> AsyncIterator[EchoClient]:
        async with (
            serve_in_process(echo_parts(handle, **(parts or {})), settings(**changes)) as address,
            grpc.aio.insecure_channel(address) as channel,
        ):
            yield EchoClient(channel)

    return serve


@pytest.fixture
def serve_echo_with_our_channel() -> ServeEcho:
    """Likewise, through ``open_channel``."""

    @asynccontextmanager
    async def serve(handle: Callable[[str], Awaitable[str]], **options: Any) -> AsyncIterator[EchoClient]:
        async with (
            serve_in_process(echo_parts(handle), settings()) as address,
            open_channel(address, service="echo", **options) as channel,
        ):
            yield EchoClient(channel)

    return serve


@pytest.fixture
def echo_kinds() -> tuple[str, ...]:
    return KINDS


@pytest.fixture
def make_echo_parts() -> Callable[..., ServiceParts]:
    return echo_parts


@pytest.fixture
def make_echo_client() -> type[EchoClient]:
    return EchoClient
