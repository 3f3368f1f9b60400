"""Whether PostgreSQL answers: one that hangs is not asked by everybody, each until the end of its time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from psycopg import Error

from shared.telemetry.logs import logger
from shared.telemetry.metrics import BREAKER_OPEN

SILENT_SECONDS = 1.0
"""A statement without an answer for so long counts as a failure. Long ones are rare beside the short ones that are
answered meanwhile, and only failures in a row count."""
FAILURES = 5
PROBE_PAUSE_SECONDS = 0.3

_log = logger("postgres")


class Pulse:
    """The circuit breaker of one pool, told of every statement. For one event loop.

    ``probe`` asks the server and raises when it does not answer soon. It runs beside requests while the breaker is
    open, so that no request has to find out.
    """

    def __init__(self, probe: Callable[[], Awaitable[None]]) -> None:
        self._probe = probe
        self._failures = 0
        self._probing: asyncio.Task[None] | None = None
        self._gauge = BREAKER_OPEN.labels("postgres")
        self._gauge.set(0)

    @property
    def hangs(self) -> bool:
        """Whether the server is known not to answer."""
        return self._probing is not None

    async def close(self) -> None:
        """Ends the probing."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    def failed(self) -> None:
        """A statement got no answer, or nobody gave a connection back."""
        self._failures += 1
        if self._failures >= FAILURES and self._probing is None:
            _log.warning("postgres hangs")
            self._gauge.set(1)
            self._probing = asyncio.create_task(self._until_it_answers())

    @contextmanager
    def waiting(self) -> Iterator[Callable[[], bool]]:
        """Watches a wait, for an answer or for a connection; yields whether it took too long so far."""
        silent = False

        def note() -> None:
            nonlocal silent
            silent = True
            self.failed()

        timer = asyncio.get_running_loop().call_later(SILENT_SECONDS, note)
        try:
            yield lambda: silent
        finally:
            timer.cancel()

    @contextmanager
    def statement(self) -> Iterator[None]:
        """Watches one statement, which the server must answer before the block ends."""
        with self.waiting() as silent:
            try:
                yield
            except Error as error:
                if error.sqlstate and not silent():
                    self._failures = 0  # refused, but answered
                raise
            if not silent():
                self._failures = 0

    async def _until_it_answers(self) -> None:
        while True:
            try:
                await self._probe()
                break
            except (Error, OSError, TimeoutError):
                await asyncio.sleep(PROBE_PAUSE_SECONDS)
        _log.info("postgres answers")
        self._gauge.set(0)
        self._failures, self._probing = 0, None
