"""The real interceptor list, as a client meets it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from mercato.encoder.v1 import encoder_service_pb2 as encoder_pb2
from mercato.encoder.v1 import encoder_service_pb2_grpc as encoder_grpc
from prometheus_client import REGISTRY

from shared.context.request import current_request_id, current_tenant, remaining_seconds
from shared.errors.base import NotFound, PermissionDenied
from shared.server.bootstrap import serve_in_process
from shared.server.interceptors.handler import RpcInterceptor
from shared.server.parts import ServiceParts, Servicer
from shared.settings.base import ServiceSettings

Code = grpc.StatusCode
METHOD = "/mercato.test.v1.EchoService/"


async def same(text: str) -> str:
    return text


def info_of(error: grpc.aio.AioRpcError) -> Any:
    status = rpc_status.from_call(error)
    assert status is not None
    return error_details_pb2.ErrorInfo.FromString(status.details[0].value)


async def test_all_kinds_of_method_answer(serve_echo: Any) -> None:
    async with serve_echo(same) as client:
        assert await client.call("UnaryUnary", "a") == ["a"]
        assert await client.call("UnaryStream", "a") == ["a", "a"]
        assert await client.call("StreamUnary", "a") == ["a"]
        assert await client.call("StreamStream", "a") == ["a", "a"]


async def test_tenant_and_request_id_reach_the_handler(serve_echo: Any) -> None:
    async def who(text: str) -> str:
        return f"{current_tenant()} {current_request_id()}"

    async with serve_echo(who) as client:
        for kind in ("UnaryUnary", "StreamUnary"):
            metadata = (("mercato-tenant", "shop-1"), ("x-request-id", "r-1"))
            assert await client.call(kind, metadata=metadata) == ["shop-1 r-1"]
        assert (await client.say("")).startswith("default ")


async def test_the_request_id_comes_back_and_a_bad_one_is_replaced(serve_echo: Any) -> None:
    async with serve_echo(same) as client:
        for given, kept in (("r-1", True), ("a b", False), ("x" * 129, False)):
            call = client.unary_unary(encoder_pb2_text("x"), metadata=(("x-request-id", given),))
            await call
            returned = (await call.trailing_metadata())["x-request-id"]
            assert (returned == given) is kept


def encoder_pb2_text(value: str) -> Any:
    from google.protobuf import wrappers_pb2

    return wrappers_pb2.StringValue(value=value)


@pytest.mark.parametrize("tenant", ["A", "a b", "-", "a" * 64])
async def test_a_bad_tenant_is_refused(tenant: str, serve_echo: Any) -> None:
    async with serve_echo(same) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.say("x", metadata=(("mercato-tenant", tenant),))
    info = info_of(caught.value)
    assert (caught.value.code(), info.reason) == (Code.INVALID_ARGUMENT, "INVALID_TENANT")
    assert info.metadata["tenant"] == tenant


async def test_a_unary_call_without_deadline_gets_one(serve_echo: Any) -> None:
    async def hang(text: str) -> str:
        await asyncio.Event().wait()
        return text

    async with serve_echo(hang, default_deadline_seconds=0.05) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.say("x")
    assert caught.value.code() is Code.DEADLINE_EXCEEDED
    assert info_of(caught.value).reason == "DEADLINE_EXCEEDED"


async def test_remaining_seconds_follow_the_client(serve_echo: Any) -> None:
    async def left(text: str) -> str:
        return str(remaining_seconds())

    async with serve_echo(left) as client:
        assert 0 < float(await client.say("x", timeout=5)) < 5.1  # gRPC's own clock is coarse
        assert 5.1 < float(await client.say("x")) <= 10
        assert await client.call("StreamUnary") == ["None"]


async def test_the_handler_is_cancelled_when_the_client_gives_up(serve_echo: Any) -> None:
    cancelled, entered = asyncio.Event(), asyncio.Event()

    async def hang(text: str) -> str:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return text

    async with serve_echo(hang) as client:
        call = asyncio.ensure_future(client.say("x"))
        await asyncio.wait_for(entered.wait(), 5)
        call.cancel()
        await asyncio.wait_for(cancelled.wait(), 5)


async def test_one_call_too_many_is_refused_with_a_delay(serve_echo: Any) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait(text: str) -> str:
        entered.set()
        await leave.wait()
        return text

    async with serve_echo(wait, max_in_flight=1) as client:
        first = asyncio.ensure_future(client.say("a"))
        await asyncio.wait_for(entered.wait(), 5)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.say("b")
        leave.set()
        assert await first == "a"
        assert await client.say("c") == "c"
    assert caught.value.code() is Code.RESOURCE_EXHAUSTED
    assert info_of(caught.value).reason == "OVERLOADED"
    kinds = [detail.TypeName() for detail in rpc_status.from_call(caught.value).details]  # type: ignore[union-attr]
    assert "google.rpc.RetryInfo" in kinds


async def test_a_given_up_stream_frees_its_place(serve_echo: Any) -> None:
    async with serve_echo(same, max_in_flight=1) as client:
        for _ in range(3):
            call = client.unary_stream(encoder_pb2_text("x"))
            async for _response in call:
                break
            call.cancel()
            await eventually_ok(client)


async def eventually_ok(client: Any) -> None:
    async with asyncio.timeout(5):
        while True:
            try:
                assert await client.say("y") == "y"
                return
            except grpc.aio.AioRpcError as error:
                assert error.code() is Code.RESOURCE_EXHAUSTED
                await asyncio.sleep(0)


async def test_an_unknown_method_is_unimplemented(serve_echo: Any) -> None:
    async with serve_echo(same) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.channel.unary_unary(METHOD + "Nothing")(b"")
    assert caught.value.code() is Code.UNIMPLEMENTED


async def test_bytes_that_are_no_message_are_the_clients_mistake(serve_echo: Any) -> None:
    async with serve_echo(same) as client:
        for bad in (b"\xff\xff", b"\x0a\x02\xc3\x28"):  # not protobuf; a string that is not UTF-8
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.channel.unary_unary(METHOD + "UnaryUnary")(bad)
            assert caught.value.code() is Code.INVALID_ARGUMENT
            assert info_of(caught.value).reason == "INVALID_REQUEST"


@pytest.mark.parametrize("size", [2000, 1_000_000])
async def test_a_message_above_the_limit_is_refused(size: int, serve_echo: Any) -> None:
    async with serve_echo(same, max_message_bytes=1500) as client:
        for kind in ("UnaryUnary", "StreamUnary"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.call(kind, "x" * size)
            assert caught.value.code() is Code.RESOURCE_EXHAUSTED
    if size == 2000:  # far larger ones are dropped by gRPC itself, without details
        assert info_of(caught.value).reason == "MESSAGE_TOO_LARGE"


class Encoder(encoder_grpc.EncoderServiceServicer):
    async def EncodeTexts(self, request: Any, context: Any) -> Any:
        return encoder_pb2.EncodeTextsResponse(dimension=len(request.texts))


@pytest.fixture
async def encoder() -> AsyncIterator[Any]:
    descriptor = encoder_pb2.DESCRIPTOR.services_by_name["EncoderService"]
    add = encoder_grpc.add_EncoderServiceServicer_to_server
    parts = ServiceParts(name="encoder", servicers=(Servicer(descriptor, add, Encoder()),))
    async with (
        serve_in_process(parts, ServiceSettings(drain_seconds=0)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield encoder_grpc.EncoderServiceStub(channel)


async def test_a_valid_request_passes(encoder: Any) -> None:
    assert (await encoder.EncodeTexts(encoder_pb2.EncodeTextsRequest(texts=["a", "b"]))).dimension == 2


async def test_all_violations_reach_the_client(encoder: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await encoder.EncodeTexts(encoder_pb2.EncodeTextsRequest(texts=["", "b", ""]))
    status = rpc_status.from_call(caught.value)
    assert status is not None
    bad = error_details_pb2.BadRequest.FromString(status.details[1].value)
    assert caught.value.code() is Code.INVALID_ARGUMENT
    assert [violation.field for violation in bad.field_violations] == ["texts[0]", "texts[2]"]
    assert info_of(caught.value).reason == "INVALID_REQUEST"


async def test_a_method_that_the_servicer_lacks_is_unimplemented(encoder: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await encoder.GetModel(encoder_pb2.GetModelRequest())
    assert caught.value.code() is Code.UNIMPLEMENTED


async def test_extra_interceptors_run_before_validation(serve_echo: Any) -> None:
    class Refusing(RpcInterceptor):
        def around(self, rpc: Any, context: Any) -> Any:
            raise PermissionDenied(metadata={"tenant": current_tenant()})

    async with serve_echo(same, parts={"extra_interceptors": (Refusing(),)}) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.channel.unary_unary(METHOD + "UnaryUnary")(b"\xff", metadata=(("mercato-tenant", "shop-1"),))
    assert caught.value.code() is Code.PERMISSION_DENIED
    assert info_of(caught.value).metadata["tenant"] == "shop-1"


@pytest.mark.parametrize("kind", ["UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream"])
async def test_calls_are_counted_under_their_code(kind: str, serve_echo: Any) -> None:
    async def maybe(text: str) -> str:
        if text == "missing":
            raise NotFound("product", "p")
        return text

    def count(code: str) -> float:
        labels = {"method": METHOD + kind, "code": code}
        return REGISTRY.get_sample_value("mercato_server_calls_total", labels) or 0.0

    before = {code: count(code) for code in ("OK", "NOT_FOUND")}
    async with serve_echo(maybe) as client:
        await client.call(kind, "x")
        with pytest.raises(grpc.aio.AioRpcError):
            await client.call(kind, "missing")
        async with asyncio.timeout(5):
            while {code: count(code) - before[code] for code in before} != {"OK": 1.0, "NOT_FOUND": 1.0}:
                await asyncio.sleep(0.001)
