"""The connection pool of a process, which survives restarts of PostgreSQL."""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from shared.errors.base import Unavailable
from shared.postgres.measured import cursor_with
from shared.postgres.pulse import Pulse
from shared.telemetry.logs import logger
from shared.telemetry.metrics import QUEUE_SECONDS, gauge

_log = logger("postgres")
IN_USE = gauge("postgres_connections_in_use", "Connections taken from the pool.")
SIZE = gauge("postgres_connections_most", "Connections that the pool may hold.")
_CHECKOUT_SECONDS = 3.0
_CHECK_CHECKOUT_SECONDS = 0.3
_CHECKOUT_WHILE_DOWN_SECONDS = 0.25
_PROBE_SECONDS = 1.0
_RECONNECT_SECONDS = 0.5
"""After this the pool forgets a connection that it cannot make; the next caller then tries at once."""


@asynccontextmanager
async def open_pool(
    dsn: str,
    *,
    min_size: int = 1,
    max_size: int = 8,
    application_name: str = "mercato",
    start_timeout_seconds: float | None = 60.0,
    statement_timeout_seconds: float = 30.0,
) -> AsyncIterator[AsyncConnectionPool]:
    """A pool that is ready to use.

    Waits for PostgreSQL up to ``start_timeout_seconds``, then raises Unavailable("postgres"); ``None``
    does neither, for processes that can work without PostgreSQL. Later a connection
    that cannot be had within three seconds (a quarter while PostgreSQL is down or hangs) raises PoolTimeout,
    which clients see as UNAVAILABLE; while PostgreSQL is known to hang it is raised at once (see ``Pulse``).
    Statements are cancelled after ``statement_timeout_seconds``; a worker that needs longer says ``SET LOCAL
    statement_timeout``. ``pool.connection()`` is a transaction, committed at the
    end of its block.
    """
    pulse = Pulse(partial(_probe, dsn))
    pool = _ReconnectingPool(
        dsn,
        pulse=pulse,
        min_size=min_size,
        max_size=max_size,
        open=False,
        timeout=_CHECKOUT_SECONDS,
        reconnect_timeout=_RECONNECT_SECONDS,
        kwargs={
            "application_name": application_name,
            "connect_timeout": 3,
            "cursor_factory": cursor_with(pulse),
            "options": f"-c statement_timeout={int(statement_timeout_seconds * 1000)} -c timezone=UTC",
        },
    )
    try:
        SIZE.set(max_size)
        if start_timeout_seconds is not None:
            await _await_server(pool, dsn, start_timeout_seconds)
        await pool.open()
        yield pool
    finally:
        await pulse.close()
        await pool.close()


def pool_check(pool: AsyncConnectionPool) -> Callable[[], Awaitable[None]]:
    """A health check for ``ServiceParts.dependencies``: raises while PostgreSQL does not answer a query.

    A pool whose connections are all busy says nothing about the server, so then a connection beside it decides.
    """

    async def check() -> None:
        try:
            async with pool.connection(timeout=_CHECK_CHECKOUT_SECONDS) as connection:
                await connection.execute("SELECT 1")
        except PoolTimeout:
            await (await psycopg.AsyncConnection.connect(str(pool.conninfo), connect_timeout=1)).close()

    return check


async def _probe(dsn: str) -> None:
    """Raises psycopg.Error or TimeoutError when the server does not answer soon."""
    async with (
        asyncio.timeout(_PROBE_SECONDS),
        await psycopg.AsyncConnection.connect(dsn, connect_timeout=2, autocommit=True) as connection,
    ):
        await connection.execute("SELECT 1")


async def _await_server(pool: AsyncConnectionPool, dsn: str, timeout_seconds: float) -> None:
    """Returns once a connection could be made; pools only report that it could not after a long time."""
    loop = asyncio.get_running_loop()
    give_up, pause = loop.time() + timeout_seconds, 0.1
    while True:
        try:
            connection = await psycopg.AsyncConnection.connect(dsn, connect_timeout=3)
            await connection.close()
            return
        except psycopg.OperationalError as error:
            if loop.time() + pause > give_up:
                raise Unavailable("postgres") from error
            _log.warning("postgres does not answer yet", error=_first_line(error), pool=pool.name)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2.0)


class _ReconnectingPool(AsyncConnectionPool[psycopg.AsyncConnection[Any]]):
    """Gives out no connection that the server has closed, and fails fast while the server is down or hangs.

    The pool's own ``check`` costs a round trip each time and pauses a second or more for each dead connection.
    """

    def __init__(self, *args: Any, pulse: Pulse, **kwargs: Any) -> None:
        super().__init__(*args, reconnect_failed=self._note_down, **kwargs)
        self._pulse = pulse
        self._down = False

    async def getconn(self, timeout: float | None = None) -> psycopg.AsyncConnection[Any]:
        began = time.perf_counter()
        try:
            connection = await self._getconn(self.timeout if timeout is None else timeout)
        finally:
            QUEUE_SECONDS.labels("postgres_connections").observe(time.perf_counter() - began)
        IN_USE.inc()
        return connection

    async def putconn(self, conn: psycopg.AsyncConnection[Any]) -> None:
        IN_USE.dec()
        await super().putconn(conn)

    async def _getconn(self, wait: float) -> psycopg.AsyncConnection[Any]:
        if self._pulse.hangs:
            raise PoolTimeout("PostgreSQL does not answer")
        if self._down:
            wait = min(wait, _CHECKOUT_WHILE_DOWN_SECONDS)
        while True:
            try:
                with self._pulse.waiting():
                    connection = await super().getconn(wait)
            except PoolTimeout:
                # Nobody gives connections back: those who come next shall hear of it sooner.
                if self._down:
                    self._pulse.failed()
                self._down = self._down or wait >= self.timeout
                raise
            if not _is_closed_by_server(connection):
                self._down = False
                return connection
            await connection.close()
            await super().putconn(connection)  # replaces it by a new one

    def _note_down(self, pool: object) -> None:
        self._down = True


def _is_closed_by_server(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Whether an idle connection is dead: then its socket can be read, to its end. Costs no round trip."""
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN | select.POLLERR | select.POLLHUP)
    try:
        while poller.poll(0):  # a notice or the server's last words come before the end
            connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return True
    return connection.closed


def _first_line(error: Exception) -> str:
    """What went wrong, without the connection details that follow."""
    return (str(error).splitlines() or [type(error).__name__])[0]


__all__ = ["PoolTimeout", "open_pool", "pool_check"]
