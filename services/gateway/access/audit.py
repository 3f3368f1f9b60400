"""The log of administrative acts: an act begins only when its beginning is stored; its end follows."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.gateway.access.ports import MACHINE, Act, AuditStore, Outcome
from shared.errors.base import MercatoError
from shared.telemetry.logs import logger

_log = logger("audit")
WAITING = 10_000
"""Ends kept while the store is away. Beginnings need the store, so it is hard to come near it."""
AGAIN_SECONDS = 1.0


class AuditLog:
    """Writes beginnings at once and ends as soon as the store takes them."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store
        self._ends: deque[Outcome] = deque(maxlen=WAITING)

    async def begin(self, act: Act) -> int:
        """The act's number. Raises what the store raises: then the act must not be done."""
        return await self._store.begin(act)

    async def end(self, event_number: int, outcome: str, target: str) -> None:
        """Never raises for a store that is away: the end is written later."""
        self._ends.append(Outcome(event_number, time.time(), outcome, target))
        await self._write()

    @asynccontextmanager
    async def by_machine(self, tenant: str, action: str, target: str) -> AsyncIterator[None]:
        """Around an act by a command on the gateway's machine."""
        number, outcome = await self.begin(Act(tenant, MACHINE, action, MACHINE, "")), "INTERNAL"
        try:
            yield
            outcome = "OK"
        except MercatoError as error:
            outcome = error.reason.value
            raise
        finally:
            await self.end(number, outcome, target)

    async def run(self) -> None:
        """Writes what is left until cancelled."""
        while True:
            await asyncio.sleep(AGAIN_SECONDS)
            await self._write()

    async def _write(self) -> None:
        ends = list(self._ends)
        if not ends:
            return
        try:
            await self._store.end(ends)
        except Exception as error:  # whatever the store raises, it is asked again
            _log.warning("ends of acts wait for the database", count=len(ends), error=type(error).__name__)
            return
        written = {end.event_number for end in ends}
        self._ends = deque((end for end in self._ends if end.event_number not in written), maxlen=WAITING)
