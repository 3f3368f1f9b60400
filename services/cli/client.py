"""The gateway as the commands see it: one channel, one stub a service, the same metadata on every call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc
import typer
from google.protobuf.message import Message
from mercato.gateway.v1 import (
    experiment_service_pb2_grpc,
    operations_service_pb2_grpc,
    privacy_service_pb2_grpc,
    product_service_pb2_grpc,
    profile_service_pb2_grpc,
    recommendation_service_pb2_grpc,
    search_service_pb2_grpc,
    support_service_pb2_grpc,
    user_event_service_pb2_grpc,
)
from rich.console import Console

from services.cli.output import console, show_json
from services.cli.settings import CliSettings, settings_of
from shared.server.options import channel_options

Q = TypeVar("Q")
R = TypeVar("R")
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
CALL_SECONDS = 30.0
SYSTEM = "system"


class Gateway:
    """Stubs of the public services over one channel."""

    def __init__(self, channel: grpc.aio.Channel, settings: CliSettings) -> None:
        self.address = settings.address
        self.metadata = settings.metadata
        self.products = product_service_pb2_grpc.ProductServiceStub(channel)
        self.events = user_event_service_pb2_grpc.UserEventServiceStub(channel)
        self.recommendations = recommendation_service_pb2_grpc.RecommendationServiceStub(channel)
        self.searching = search_service_pb2_grpc.SearchServiceStub(channel)
        self.support = support_service_pb2_grpc.SupportServiceStub(channel)
        self.profiles = profile_service_pb2_grpc.ProfileServiceStub(channel)
        self.privacy = privacy_service_pb2_grpc.PrivacyServiceStub(channel)
        self.operations = operations_service_pb2_grpc.OperationsServiceStub(channel)
        self.experiments = experiment_service_pb2_grpc.ExperimentServiceStub(channel)

    async def call(
        self, method: grpc.aio.UnaryUnaryMultiCallable[Q, R], request: Q, seconds: float = CALL_SECONDS
    ) -> R:
        """One answer. Raises ``grpc.aio.AioRpcError``."""
        return await method(request, metadata=self.metadata, timeout=seconds)

    async def stream(self, method: grpc.aio.UnaryStreamMultiCallable[Q, R], request: Q) -> AsyncIterator[R]:
        """The parts of a streamed answer, without a limit of time. Raises ``grpc.aio.AioRpcError``."""
        call = method(request, metadata=self.metadata)
        try:
            async for part in call:
                yield part
        finally:
            call.cancel()

    def open_stream(self, method: grpc.aio.StreamStreamMultiCallable[Q, R]) -> grpc.aio.StreamStreamCall[Q, R]:
        """A stream in both directions, for the caller to write to and read from."""
        return method(metadata=self.metadata)


@asynccontextmanager
async def connect(settings: CliSettings) -> AsyncIterator[Gateway]:
    """The gateway at ``settings.address``; it is reached with the first call."""
    options: list[tuple[str, Any]] = list(channel_options(MAX_MESSAGE_BYTES))
    async with open_gateway_channel(settings, options) as channel:
        yield Gateway(channel, settings)


def open_gateway_channel(settings: CliSettings, options: list[tuple[str, Any]]) -> grpc.aio.Channel:
    """Plain text, or TLS where ``--ca`` names issuers. Raises OSError for a file that cannot be read."""
    if not settings.ca:
        return grpc.aio.insecure_channel(settings.address, options=options)
    roots = None if settings.ca == SYSTEM else Path(settings.ca).read_bytes()
    return grpc.aio.secure_channel(settings.address, grpc.ssl_channel_credentials(roots), options=options)


def with_gateway(settings: CliSettings, work: Callable[[Gateway], Awaitable[R]]) -> R:
    """Runs ``work`` against the gateway, from the synchronous world of a command."""

    async def run() -> R:
        async with connect(settings) as gateway:
            return await work(gateway)

    return asyncio.run(run())


def ask(
    context: typer.Context,
    question: Callable[[Gateway], Awaitable[Message]],
    show: Callable[[Console, Message], None],
) -> None:
    """Asks the gateway of this run, then shows the answer as JSON or for people."""
    settings = settings_of(context)

    async def work(gateway: Gateway) -> None:
        answer = await question(gateway)
        if settings.json:
            show_json(answer)
        else:
            show(console(), answer)

    with_gateway(settings, work)
