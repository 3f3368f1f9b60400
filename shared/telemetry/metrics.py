"""Prometheus metrics: the ones that every process has, and how to make more.

Names start with ``mercato_`` and end with their unit. Labels hold no ids of products, users or tenants:
each label value is a time series that lives until the process ends. docs/metrics.md lists them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import (
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

# Each counter would have a second series with the time of its making; Prometheus sees resets without it.
disable_created_metrics()  # type: ignore[no-untyped-call]
PREFIX = "mercato_"
LATENCY_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Upper bounds in seconds: from an empty call on loopback to the slowest call that anyone waits for."""
WAIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds in seconds of waits for a turn."""
LAG_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0)
"""Upper bounds in seconds of how far something may be behind."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric as its documentation shows it."""

    name: str
    kind: str
    """``counter``, ``gauge`` or ``histogram``."""
    documentation: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()


DECLARED: list[Declared] = []
"""Every metric of the modules imported so far."""


def counter(name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
    """A counter ``mercato_<name>``; ``name`` ends with ``_total``."""
    DECLARED.append(Declared(PREFIX + name, "counter", documentation, tuple(labels)))
    return Counter(PREFIX + name, documentation, labels)


def gauge(name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
    """A gauge ``mercato_<name>``."""
    DECLARED.append(Declared(PREFIX + name, "gauge", documentation, tuple(labels)))
    return Gauge(PREFIX + name, documentation, labels)


def histogram(
    name: str, documentation: str, labels: Sequence[str] = (), buckets: Sequence[float] = LATENCY_BUCKETS
) -> Histogram:
    """A histogram ``mercato_<name>``; seconds unless ``buckets`` say otherwise."""
    DECLARED.append(Declared(PREFIX + name, "histogram", documentation, tuple(labels), tuple(buckets)))
    return Histogram(PREFIX + name, documentation, labels, buckets=buckets)


class CacheMeter:
    """Counts lookups of one cache, a hit or a miss each."""

    def __init__(self, cache: str) -> None:
        self._hits = CACHE_LOOKUPS.labels(cache, "hit")
        self._misses = CACHE_LOOKUPS.labels(cache, "miss")

    def count(self, *, hits: int = 0, misses: int = 0) -> None:
        """Adds lookups."""
        if hits:
            self._hits.inc(hits)
        if misses:
            self._misses.inc(misses)


class CurrentName:
    """A gauge of one series, 1, whose label names what is in use: the name is unbounded, so the old series goes."""

    def __init__(self, name: str, documentation: str, label: str) -> None:
        self._gauge = gauge(name, documentation, (label,))
        self._name = ""

    def set(self, name: str) -> None:
        """Names what is in use now; empty: nothing is."""
        if name == self._name:
            return
        self._name = name
        self._gauge.clear()
        if name:
            self._gauge.labels(name).set(1)


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
QUEUE_SECONDS = histogram("queue_seconds", "Wait for a turn before work begins.", ("queue",), WAIT_BUCKETS)
CACHE_LOOKUPS = counter("cache_lookups_total", "Lookups by cache and outcome.", ("cache", "outcome"))
