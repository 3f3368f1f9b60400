"""Channels to other services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from shared.client.breaker import CircuitBreaker
from shared.client.hedging import Hedging
from shared.client.interceptors import CallPolicy, Replicas, client_interceptors
from shared.client.retry import RetryBudget, RetryPolicy
from shared.client.target import target_of
from shared.errors.base import Unavailable
from shared.server.options import Options, channel_options
from shared.settings.connection import ConnectionSettings
from shared.settings.tls import TlsSettings
from shared.tls.channel import ReloadingChannel


@asynccontextmanager
async def open_channel(  # noqa: PLR0913 - each has a default that fits
    address: str,
    *,
    service: str,
    default_timeout_seconds: float = 5.0,
    idempotent: Collection[str] | None = None,
    max_message_bytes: int = 16 * 1024 * 1024,
    connection: ConnectionSettings | None = None,
    tls: TlsSettings | None = None,
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to ``service`` at ``address`` (see ``target_of``). Connects with the first call.

    Where the address stands for several replicas, calls go round those that are connected, idempotent ones are
    repeated at another when theirs was lost, and reads that seem stuck are asked a second time.

    Unary calls take at most ``default_timeout_seconds`` unless the caller says otherwise, and every call ends
    before the request that makes it. ``idempotent`` are the bare names of the unary methods that may be
    repeated when the peer was not reached; ``None`` means all unary methods, an empty set none.

    With certificates in ``tls`` (default: ``MERCATO_TLS_…``) the peer must show that it is ``service``, and sees who
    calls. Replaced certificates are taken up without losing a call. Raises CertificateError for unusable ones.

    Calls raise ``grpc.aio.AioRpcError``; ``shared.client.failures.remote_errors`` makes domain errors of them.
    While the peer is known to be down they raise CircuitOpen at once, which is ``Unavailable`` as well.
    """
    connection = connection or ConnectionSettings()
    target, replicated = target_of(address)
    policy = CallPolicy(
        service,
        CircuitBreaker(service),
        RetryPolicy(methods=idempotent, attempts=connection.retry_attempts),
        default_timeout_seconds,
        RetryBudget(tokens=connection.retry_tokens, refill=connection.retry_share),
    )
    channel = _channel(
        target,
        service,
        channel_options(max_message_bytes, connection),
        client_interceptors(policy),
        tls or TlsSettings(),
    )
    if replicated:
        policy.replicas = Replicas(
            Hedging(service, connection.hedge_share),
            lambda: channel.get_state() is grpc.ChannelConnectivity.READY,
        )
    try:
        yield channel
    finally:
        await channel.close()


def _channel(
    target: str,
    service: str,
    options: Options,
    interceptors: list[grpc.aio.ClientInterceptor],
    tls: TlsSettings,
) -> grpc.aio.Channel:
    """Plain text, or mutual TLS where certificates are configured."""
    files = tls.files()
    if files is None:
        return grpc.aio.insecure_channel(target, options=options, interceptors=interceptors)
    named = [*options, ("grpc.ssl_target_name_override", tls.name_of(service))]
    return ReloadingChannel(
        files, lambda credentials: grpc.aio.secure_channel(target, credentials, named, interceptors=interceptors)
    )


def channel_check(
    channel: grpc.aio.Channel, service: str, *, timeout_seconds: float = 1.0
) -> Callable[[], Awaitable[None]]:
    """A health check for ``ServiceParts.dependencies``: raises unless the peer says that it is serving."""
    stub = health_pb2_grpc.HealthStub(channel)

    async def check() -> None:
        response = await stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_seconds)
        if response.status != health_pb2.HealthCheckResponse.SERVING:
            raise Unavailable(service)

    return check
