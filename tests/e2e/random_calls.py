"""Calls with random messages, and what they may not find."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.e2e.random_messages import messages

STREAMED, CALL_SECONDS = 3, 8.0
DEFECTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.DATA_LOSS}


class Caller:
    """Calls by bytes in a loop that lives as long as the channel."""

    def __init__(self, address: str, metadata: tuple[tuple[str, str], ...] = ()) -> None:
        self._loop = asyncio.new_event_loop()
        self._metadata = metadata
        self._channel = self._loop.run_until_complete(self._open(address))
        self.counts: Counter[tuple[str, str]] = Counter()

    def close(self) -> None:
        self._loop.run_until_complete(self._channel.close())
        self._loop.close()

    def call(self, method: Any, requests: list[Message]) -> grpc.StatusCode:
        """The code that the rpc ends with."""
        code = self._loop.run_until_complete(self._call(method, requests))
        self.counts[method.name, code.name] += 1
        return code

    async def _open(self, address: str) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(address)

    async def _call(self, method: Any, requests: list[Message]) -> grpc.StatusCode:
        kind = ("stream" if method.client_streaming else "unary") + ("_stream" if method.server_streaming else "_unary")
        function = getattr(self._channel, kind)(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )

        async def sent() -> AsyncIterator[Message]:
            for request in requests:
                yield request

        argument = sent() if method.client_streaming else requests[0]
        call = function(argument, metadata=self._metadata, timeout=CALL_SECONDS)
        try:
            if method.server_streaming:
                async for _ in call:
                    pass
            else:
                await call
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK


def fuzz(caller: Caller, method: Any, number: int, examples: int) -> None:
    """Sends examples to one rpc. Raises AssertionError with the smallest request found that is answered by a defect."""
    requests = st.lists(messages(method.input_type), min_size=1, max_size=STREAMED if method.client_streaming else 1)

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(requests)
    def run(sent: list[Message]) -> None:
        code = caller.call(method, sent)
        assert code not in DEFECTS, f"seed {number}: {method.full_name} answered {code.name}"

    run()
