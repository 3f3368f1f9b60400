"""Runs a service: start, serve, drain, stop. The same for every process and for tests.

Order of the end: NOT_SERVING, a lead for balancers, no new calls, running calls finish (at most ``drain_seconds``),
background tasks are cancelled, the wiring closes what it opened.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import TypeVar

import grpc
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from shared.errors.base import MercatoError
from shared.server.background import running
from shared.server.health import HealthMonitor
from shared.server.interceptors.order import interceptors
from shared.server.options import server_options
from shared.server.parts import Background, ServiceParts
from shared.settings.base import ServiceSettings
from shared.telemetry.endpoint import metrics_endpoint
from shared.telemetry.event_loop import watch_event_loop
from shared.telemetry.exporting import exporting
from shared.telemetry.logs import configure_logs, logger
from shared.tls.files import CertificateError
from shared.tls.server import ServerTls, server_credentials, watch_certificate

S = TypeVar("S", bound=ServiceSettings)
Build = Callable[[S], AbstractAsyncContextManager[ServiceParts]]

_log = logger("server")
EXIT_FAILED = 1
"""Exit status of a process that could not start."""


class StartError(Exception):
    """The server cannot start; the message is one line for the operator."""


def run(settings: S, build: Build[S]) -> None:
    """Serves until SIGTERM or SIGINT, then exits with status 0; 1 and one line on stderr if it cannot start."""
    name = str(settings.model_config.get("env_prefix", "")).removeprefix("MERCATO_").rstrip("_").lower()
    configure_logs(name or "mercato", level=settings.log_level, log_format=settings.log_format)
    try:
        with exporting(name), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_signal(settings, build))
    except (StartError, CertificateError, MercatoError) as error:
        sys.stderr.write(f"mercato-{name}: cannot start: {error}\n")
        sys.exit(EXIT_FAILED)


@asynccontextmanager
async def serve_in_process(parts: ServiceParts, settings: ServiceSettings | None = None) -> AsyncIterator[str]:
    """The server of ``run``, interceptors and background tasks included, on a free port; yields ``host:port``.

    For tests. ``settings`` default to no drain time; their ``listen`` is used as it is.
    """
    settings = settings or ServiceSettings(drain_seconds=0.0)
    async with serving(parts, settings) as address:
        yield address


@asynccontextmanager
async def serving(parts: ServiceParts, settings: ServiceSettings) -> AsyncIterator[str]:
    """A started server inside the block; drains at its end. Raises StartError when a port is taken."""
    server = grpc.aio.server(
        interceptors=interceptors(settings, parts.extra_interceptors, edge=parts.name == "gateway"),
        options=server_options(settings.max_message_bytes),
    )
    health = HealthMonitor(parts, settings)
    _register(server, parts, health)
    tls = settings.server_tls()
    address = _bind(server, settings.listen, tls)
    await health.check()
    with _metrics(settings, health):
        await server.start()
        try:
            async with running(
                {"health": health.run, "event_loop": watch_event_loop, **_watches(tls), **_named(parts)}
            ):
                try:
                    _log.info("serving", address=address, metrics_port=settings.metrics_port)
                    yield address
                finally:
                    await health.drain()
                    await asyncio.sleep(settings.drain_lead_seconds)
                    for end_streams in parts.on_drain:
                        end_streams()
                    await server.stop(settings.drain_seconds)
        finally:
            await server.stop(0)


def spare_the_collector() -> None:
    """Leaves what was made while starting out of garbage collection, and collects more rarely.

    Messages and columns hold no cycles: reference counting frees them. A collection under a request costs it
    milliseconds, most of them spent on modules and tables that live as long as the process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


async def _until_signal(settings: S, build: Build[S]) -> None:
    """Serves until a signal; a signal during the start gives the start up."""
    stop, started = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    async def serve() -> None:
        async with build(settings) as parts, serving(parts, settings):
            started.set()
            spare_the_collector()
            await stop.wait()
            _log.info("draining", seconds=settings.drain_seconds)
        _log.info("stopped")

    serve_task, stop_task = asyncio.create_task(serve()), asyncio.create_task(stop.wait())
    await asyncio.wait({serve_task, stop_task}, return_when=asyncio.FIRST_COMPLETED)
    stop_task.cancel()
    if not started.is_set():
        serve_task.cancel()
    try:
        await serve_task
    except asyncio.CancelledError:
        _log.info("stopped before it was serving")


def _register(server: grpc.aio.Server, parts: ServiceParts, health: HealthMonitor) -> None:
    """Adds the services, health and reflection."""
    for servicer in parts.servicers:
        servicer.add_to_server(servicer.implementation, server)
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    names = [servicer.descriptor.full_name for servicer in parts.servicers]
    names += [health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME]
    reflection.enable_server_reflection(names, server)


def _bind(server: grpc.aio.Server, listen: str, tls: ServerTls | None) -> str:
    """Binds and returns ``host:port``."""
    try:
        credentials = server_credentials(tls) if tls else None
    except CertificateError as error:
        raise StartError(str(error)) from error
    try:
        port = server.add_secure_port(listen, credentials) if credentials else server.add_insecure_port(listen)
    except RuntimeError as error:
        raise StartError(f"cannot listen on {listen}: the address is in use or not ours") from error
    if port == 0:
        raise StartError(f"cannot listen on {listen}: the address is in use or not ours")
    return f"{listen.rpartition(':')[0]}:{port}"


@contextmanager
def _metrics(settings: ServiceSettings, health: HealthMonitor) -> Iterator[None]:
    """The metrics endpoint, with a clear error when its port is taken."""
    host = settings.listen.rpartition(":")[0].strip("[]") or "127.0.0.1"
    try:
        endpoint = metrics_endpoint(
            host, settings.metrics_port, checks={"/livez": health.lives, "/readyz": health.ready}
        )
        endpoint.__enter__()
    except OSError as error:
        raise StartError(f"cannot serve metrics on {host}:{settings.metrics_port}: {error.strerror}") from error
    try:
        yield
    finally:
        endpoint.__exit__(None, None, None)


def _watches(tls: ServerTls | None) -> dict[str, Background]:
    """A look at the certificate now and then."""
    return {"certificate": partial(watch_certificate, tls.files)} if tls else {}


def _named(parts: ServiceParts) -> dict[str, Background]:
    """The background tasks by a name for logs and metrics."""
    return {
        f"{index}-{getattr(task, '__qualname__', type(task).__name__)}": task
        for index, task in enumerate(parts.background)
    }
