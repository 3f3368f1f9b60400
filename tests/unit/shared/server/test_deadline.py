"""Streams whose client stands still."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf import wrappers_pb2

Text = wrappers_pb2.StringValue


async def same(text: str) -> str:
    return text


async def test_a_client_that_sends_nothing_is_given_up(serve_echo: Any) -> None:
    async with serve_echo(same, stream_idle_seconds=0.2) as client:
        call = client.stream_stream()
        await call.write(Text(value="a"))
        assert [(await call.read()).value for _ in range(2)] == ["a", "a"]
        async with asyncio.timeout(10):
            assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "sent nothing for 0.2 s" in (await call.details())


async def test_a_client_that_goes_on_in_time_is_served(serve_echo: Any) -> None:
    async with serve_echo(same, stream_idle_seconds=5.0) as client:
        assert await client.call("StreamStream", "a") == ["a", "a"]
        assert await client.call("StreamUnary", "a") == ["a"]


async def test_a_client_that_takes_no_answers_is_given_up(serve_echo: Any) -> None:
    ended = asyncio.Event()

    async def large(text: str) -> str:
        return text * 15

    async with serve_echo(large, stream_idle_seconds=0.5, parts={"extra_interceptors": (Ends(ended),)}) as client:
        call = client.unary_stream(Text(value="x" * 1_000_000))
        async with asyncio.timeout(20):
            await ended.wait()
        call.cancel()


class Ends(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Tells when the handler's stream ended."""

    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or handler.unary_stream is None:
            return handler
        inner = handler.unary_stream

        async def respond(request: Any, context: Any) -> Any:
            try:
                async for response in inner(request, context):
                    yield response
            finally:
                self._ended.set()

        return handler._replace(unary_stream=respond)


@pytest.mark.parametrize("kind", ["UnaryStream", "StreamStream"])
async def test_streams_end_as_before(serve_echo: Any, kind: str) -> None:
    async with serve_echo(same, stream_idle_seconds=0.5) as client:
        assert await client.call(kind, "a") == ["a", "a"]
