"""A stream in both directions, written and read by hand: how it ended is told where gRPC only says that it did."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc


async def write(call: Any, request: Any) -> None:
    """Sends a request. Raises ``grpc.aio.AioRpcError`` when the stream ended instead."""
    try:
        await call.write(request)
    except asyncio.InvalidStateError:
        raise await ended(call) from None


async def read(call: Any) -> Any:
    """The next answer. Raises ``grpc.aio.AioRpcError`` when the stream ended instead."""
    try:
        answer = await call.read()
    except asyncio.InvalidStateError:
        raise await ended(call) from None
    if answer is grpc.aio.EOF:
        raise await ended(call)
    return answer


async def ended(call: Any) -> grpc.aio.AioRpcError:
    """Why a stream ended; an end that the gateway calls good came too early and counts as a lost connection."""
    code, details = await call.code(), await call.details()
    if code is grpc.StatusCode.OK:
        code, details = grpc.StatusCode.UNAVAILABLE, "the stream ended before all batches were acknowledged"
    return grpc.aio.AioRpcError(code, await call.initial_metadata(), await call.trailing_metadata(), details)
