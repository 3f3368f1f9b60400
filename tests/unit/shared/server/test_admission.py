"""Admission as a client meets it."""

import asyncio
import gc
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from prometheus_client import REGISTRY

from shared.context.priority import current_priority
from shared.errors.base import ResourceExhausted

Code = grpc.StatusCode


class Gate:
    """A handler that holds calls until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.running = 0

    async def __call__(self, text: str) -> str:
        self.running += 1
        await self.open.wait()
        return text

    async def holds(self, calls: int) -> None:
        async with asyncio.timeout(5):
            while self.running < calls:
                await asyncio.sleep(0.001)


def details_of(error: grpc.aio.AioRpcError) -> tuple[Any, Any]:
    status = rpc_status.from_call(error)
    assert status is not None
    info = error_details_pb2.ErrorInfo.FromString(status.details[0].value)
    return info, error_details_pb2.RetryInfo.FromString(status.details[-1].value)


def shed(priority: str) -> float:
    return REGISTRY.get_sample_value("mercato_server_shed_total", {"priority": priority}) or 0.0


async def test_what_the_caller_calls_less_urgent_is_refused_first(serve_echo: Any) -> None:
    gate, before = Gate(), shed("background")
    async with serve_echo(gate, max_in_flight=4, queue_seconds=0.0) as client:
        calls = [asyncio.ensure_future(client.say("a")) for _ in range(2)]
        await gate.holds(2)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.say("b", metadata=(("mercato-priority", "background"),))
        calls.append(asyncio.ensure_future(client.say("c")))
        await gate.holds(3)
        gate.open.set()
        assert await asyncio.gather(*calls) == ["a", "a", "c"]
    info, retry = details_of(caught.value)
    assert (caught.value.code(), info.reason) == (Code.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert dict(info.metadata) == {"limit": "4", "priority": "background"}
    assert retry.retry_delay.seconds >= 5
    assert shed("background") == before + 1


async def test_a_wish_never_raises_a_call_above_its_class(serve_echo: Any) -> None:
    async def priority(text: str) -> str:
        return str(current_priority())

    async with serve_echo(priority) as client:
        for wish, given in (("", "0"), ("bulk", "2"), ("interactive", "0")):
            metadata = (("mercato-priority", wish),) if wish else ()
            assert await client.say("x", metadata=metadata) == given
        wish = (("mercato-priority", "interactive"),)
        assert await client.call("StreamUnary", metadata=wish) == ["0"]


async def test_an_unknown_priority_is_the_callers_mistake(serve_echo: Any) -> None:
    async def same(text: str) -> str:
        return text

    async with serve_echo(same) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.say("x", metadata=(("mercato-priority", "urgent"),))
    assert caught.value.code() is Code.INVALID_ARGUMENT
    assert "interactive, standard, bulk, background" in (caught.value.details() or "")


async def test_a_call_waits_for_a_place_that_becomes_free(serve_echo: Any) -> None:
    gate = Gate()
    async with serve_echo(gate, max_in_flight=2, queue_seconds=30.0) as client:
        first = [asyncio.ensure_future(client.say("a")) for _ in range(2)]
        await gate.holds(2)
        # Streams of requests count as calls, but hold a place only while a message is worked on.
        gate.open.set()
        assert await client.say("b") == "b"
        await asyncio.gather(*first)


async def test_health_answers_whatever_the_load(serve_echo: Any) -> None:
    gate = Gate()
    async with serve_echo(gate, max_in_flight=1, queue_seconds=0.0) as client:
        busy = asyncio.ensure_future(client.say("a"))
        await gate.holds(1)
        health = health_pb2_grpc.HealthStub(client.channel)
        answer = await health.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        gate.open.set()
        await busy


async def test_a_stream_of_requests_is_slowed_down_and_not_broken_off(serve_echo: Any) -> None:
    gate = Gate()
    async with serve_echo(gate, max_in_flight=2, queue_seconds=0.001) as client:
        bulk = (("mercato-priority", "bulk"),)
        first = asyncio.ensure_future(client.call("StreamUnary", "a", metadata=bulk))
        await gate.holds(1)
        second = asyncio.ensure_future(client.say("b"))
        await gate.holds(2)
        gate.open.set()
        assert await asyncio.gather(first, second) == [["a"], "b"]


@pytest.mark.parametrize("kind", ["StreamUnary", "StreamStream"])
async def test_a_stream_that_fails_gives_its_place_back_at_once(serve_echo: Any, kind: str) -> None:
    async def fail(text: str) -> str:
        raise ResourceExhausted("no")

    gc.disable()  # whose finalizers would hide it, at some time
    try:
        async with serve_echo(fail, max_in_flight=8) as client:
            for _ in range(20):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await client.call(kind, "a")
                assert caught.value.code() is Code.RESOURCE_EXHAUSTED
                assert REGISTRY.get_sample_value("mercato_server_places_taken") == 0
    finally:
        gc.enable()
