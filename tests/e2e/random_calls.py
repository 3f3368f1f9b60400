"""Calls with random messages, and what they may not find."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.e2e.random_messages import messages

STREAMED, CALL_SECONDS = 3, 8.0
MOST_ATTEMPTS, SHED_SECONDS = 5, 0.5
"""A suite that is sent more than it can do sheds calls and says when to come again."""
DEFECTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.DATA_LOSS}


class Caller:
    """Calls by bytes in a loop that lives as long as the channel."""

    def __init__(self, address: str, metadata: tuple[tuple[str, str], ...] = ()) -> None:
        self._loop = asyncio.new_event_loop()
        self._metadata = metadata
        self._channel = self._loop.run_until_complete(self._open(address))
        self.counts: Counter[tuple[str, str]] = Counter()
        self.said = ""
        """What the last error said."""

    def close(self) -> None:
        self._loop.run_until_complete(self._channel.close())
        self._loop.close()

    def call(self, method: Any, requests: list[Message]) -> grpc.StatusCode:
        """The code that the rpc ends with; a call that is shed is made again, so that every message is looked at."""
        for attempt in range(1, MOST_ATTEMPTS + 1):
            code = self._loop.run_until_complete(self._call(method, requests))
            self.counts[method.name, code.name] += 1
            if code is not grpc.StatusCode.RESOURCE_EXHAUSTED or "larger than" in self.said:
                break
            self._loop.run_until_complete(asyncio.sleep(SHED_SECONDS * attempt))
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

        options = {"metadata": self._metadata, "timeout": CALL_SECONDS}
        call = function(**options) if method.client_streaming else function(requests[0], **options)
        try:
            if method.client_streaming:
                await self._write(call, requests)
            if method.server_streaming:
                while await call.read() is not grpc.aio.EOF:
                    pass
            else:
                await call
            if await call.code() is not grpc.StatusCode.OK:
                self.said = str(call.debug_error_string())
            return await call.code()
        except grpc.aio.AioRpcError as error:
            self.said = str(error.debug_error_string() or error.details())
            return error.code()

    @staticmethod
    async def _write(call: Any, requests: list[Message]) -> None:
        """Writes the next message once the last one is acknowledged, as the contract asks.

        Written at once, a message would meet a call that the server has ended, and the library would then report
        INTERNAL of its own in place of the server's answer.
        """
        for request in requests:
            await call.write(request)
            if await call.read() is grpc.aio.EOF:
                return
        await call.done_writing()


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
        assert code not in DEFECTS, f"seed {number}: {method.full_name} answered {code.name}: {caller.said}"

    run()
