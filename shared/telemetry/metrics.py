"""Prometheus metrics: the ones that every process has, and how to make more.

Names start with ``mercato_`` and end with their unit. Labels hold no ids of products, users or tenants:
each label value is a time series that lives until the process ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, start_http_server

PREFIX = "mercato_"
LATENCY_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Upper bounds in seconds: from an empty call on loopback to the slowest call that anyone waits for."""


def counter(name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
    """A counter ``mercato_<name>``; ``name`` ends with ``_total``."""
    return Counter(PREFIX + name, documentation, labels)


def gauge(name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
    """A gauge ``mercato_<name>``."""
    return Gauge(PREFIX + name, documentation, labels)


def histogram(
    name: str, documentation: str, labels: Sequence[str] = (), buckets: Sequence[float] = LATENCY_BUCKETS
) -> Histogram:
    """A histogram ``mercato_<name>``; seconds unless ``buckets`` say otherwise."""
    return Histogram(PREFIX + name, documentation, labels, buckets=buckets)


SERVER_CALLS = counter("server_calls_total", "Finished calls by method and status code.", ("method", "code"))
SERVER_SECONDS = histogram("server_call_seconds", "Duration of served calls, streams included.", ("method",))
SERVER_IN_FLIGHT = gauge("server_calls_in_flight", "Calls being served.")
CLIENT_CALLS = counter(
    "client_calls_total", "Finished calls to other services by status code.", ("peer", "method", "code")
)
CLIENT_SECONDS = histogram("client_call_seconds", "Duration of calls, retries included.", ("peer", "method"))
CLIENT_RETRIES = counter("client_retries_total", "Repeated attempts.", ("peer", "method"))
BREAKER_OPEN = gauge("client_breaker_open", "1 while calls to the peer fail at once.", ("peer",))
DEPENDENCY_UP = gauge("dependency_up", "1 while the dependency answers its check.", ("dependency",))
BACKGROUND_RESTARTS = counter("background_restarts_total", "Background tasks that failed.", ("task",))


@contextmanager
def metrics_endpoint(host: str, port: int, registry: CollectorRegistry = REGISTRY) -> Iterator[int]:
    """Serves ``http://host:port/metrics`` from a thread inside the block; port 0 serves nothing.

    Yields the port. Raises OSError when the port is taken.
    """
    if port == 0:
        yield 0
        return
    server, thread = start_http_server(port, addr=host, registry=registry)
    try:
        yield port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
