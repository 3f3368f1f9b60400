"""Every public rpc is sent random messages built from its descriptor; whatever they hold, it is never a defect of ours.

`make fuzz` goes on for ten minutes with other seeds each time; the seed that failed is printed.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.e2e.abuse import Target, full_key, guarded_suite, prepare
from tests.e2e.conftest import ROOT, Running
from tests.e2e.random_messages import messages, services

SECONDS = float(os.environ.get("MERCATO_FUZZ_SECONDS", "0"))
SEED = int(os.environ.get("MERCATO_FUZZ_SEED", "20261124"))
EXAMPLES, STREAMED, CALL_SECONDS = 12, 3, 8.0
DEFECTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.DATA_LOSS}
PUBLIC = sorted(path.stem for path in (ROOT / "protos/mercato/gateway/v1").glob("*_service.proto"))
METHODS = [method for service in services("mercato.gateway.v1", PUBLIC) for method in service.methods]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with guarded_suite(tmp_path_factory.mktemp("fuzzed")) as running:
        yield running


class Caller:
    """Calls by bytes in a loop that lives as long as the channel."""

    def __init__(self, target: Target) -> None:
        self._loop = asyncio.new_event_loop()
        self._metadata = (("x-api-key", target.keys["alpha"]),)
        self._channel = self._loop.run_until_complete(self._open(target.address))
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


@pytest.fixture(scope="module")
def caller(guarded: Running) -> Iterator[Caller]:
    target = Target(guarded.address)
    for tenant in ("beta", "alpha"):
        target.add_key(tenant, full_key(guarded, tenant))

    async def fill() -> None:
        async with grpc.aio.insecure_channel(guarded.address) as channel:
            await prepare(channel, target)

    asyncio.run(fill())
    made = Caller(target)
    yield made
    made.close()


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


@pytest.mark.parametrize("method", METHODS, ids=[method.full_name for method in METHODS])
def test_no_request_finds_a_defect(caller: Caller, method: Any) -> None:
    fuzz(caller, method, SEED, EXAMPLES)


@pytest.mark.skipif(SECONDS <= 0, reason="make fuzz")
def test_no_request_finds_a_defect_for_long(caller: Caller) -> None:
    ends, number = time.monotonic() + SECONDS, random.SystemRandom().randrange(1 << 31)
    while time.monotonic() < ends:
        for method in METHODS:
            fuzz(caller, method, number, 25)
        number += 1
    table = sorted(caller.counts.items())
    sys.stdout.write(f"\n{sum(caller.counts.values()):,} calls\n")
    for (name, code), count in table:
        sys.stdout.write(f"{name:24} {code:20} {count:8,}\n")


def test_no_process_ended_and_no_log_names_a_defect(guarded: Running, caller: Caller) -> None:
    units = guarded.suite.suite.units()
    assert all(unit.state == "ready" for unit in units)
    for path in Path(guarded.data / "logs").glob("*.log"):
        if path.stem in ("postgres", "triton", "milvus", "envoy"):
            continue
        bad = [
            line
            for line in path.read_text(errors="replace").splitlines()
            if re.search(r'"code":"(INTERNAL|UNKNOWN)"', line)
        ]
        assert not bad, bad[:3]
