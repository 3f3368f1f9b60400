"""Statements measured by name: a query is one of a service's file or "other"; its text and parameters stay here."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import cache
from typing import Any, ClassVar, Self

from psycopg import AsyncCursor, Error, InterfaceError, OperationalError

from shared.postgres.pulse import Pulse
from shared.telemetry.metrics import counter, histogram
from shared.telemetry.tracing import client_span

SECONDS = histogram("postgres_seconds", "Duration of statements as the caller sees them.", ("query",))
FAILURES = counter("postgres_failures_total", "Failed statements by query and kind of failure.", ("query", "kind"))
OTHER = "other"
"""Statements that stand in no file: locks, checks, settings."""

_seconds = cache(SECONDS.labels)


@cache
def _attributes(name: str) -> dict[str, str]:
    return {"db.system.name": "postgresql", "db.operation.name": name}


class MeasuredCursor(AsyncCursor[Any]):
    """Counts and times what is executed, and tells the pool's pulse."""

    pulse: ClassVar[Pulse]

    async def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        name, began = name_of(query), time.perf_counter()
        try:
            with client_span(f"postgres {name}", _attributes(name)), self.pulse.statement():
                return await super().execute(query, params, **options)
        except Error as error:
            FAILURES.labels(name, kind_of(error)).inc()
            raise
        finally:
            _seconds(name).observe(time.perf_counter() - began)

    async def executemany(self, query: Any, params_seq: Iterable[Any], **options: Any) -> None:
        name, began = name_of(query), time.perf_counter()
        try:
            with client_span(f"postgres {name}", _attributes(name)), self.pulse.statement():
                await super().executemany(query, params_seq, **options)
        except Error as error:
            FAILURES.labels(name, kind_of(error)).inc()
            raise
        finally:
            _seconds(name).observe(time.perf_counter() - began)


def cursor_with(pulse: Pulse) -> type[MeasuredCursor]:
    """Cursors of one pool."""
    return type("PoolCursor", (MeasuredCursor,), {"pulse": pulse})


def name_of(query: object) -> str:
    """The query's name in its file."""
    return str(getattr(query, "name", OTHER))


def kind_of(error: Error) -> str:
    """`unavailable` when PostgreSQL was not reached or gave up, `conflict` for lost races, else `rejected`."""
    if (error.sqlstate or "").startswith("40"):
        return "conflict"
    return "unavailable" if isinstance(error, OperationalError | InterfaceError) else "rejected"
