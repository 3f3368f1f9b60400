"""When keys were used last: collected in memory, written together."""

from __future__ import annotations

import asyncio
import time

from services.gateway.access.ports import KeyStore
from shared.telemetry.logs import logger

_log = logger("keys")
WRITE_SECONDS = 30.0
"""Pause between two writes; at most this much is lost when the process is killed."""


class KeyUsage:
    """One time a key, so that memory is bounded by the number of keys."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._times_s: dict[str, float] = {}

    def note(self, key_id: str) -> None:
        """The key opened a call now."""
        self._times_s[key_id] = time.time()

    async def write(self) -> None:
        """Writes what was collected; keeps it when the store is away."""
        times, self._times_s = self._times_s, {}
        if not times:
            return
        try:
            await self._store.note_used(times)
        except Exception as error:  # whatever the store raises: it is written with the next batch
            self._times_s = {**times, **self._times_s}
            _log.warning("use of keys cannot be written", error=type(error).__name__)

    async def run(self) -> None:
        """Writes until cancelled, and then once more."""
        try:
            while True:
                await asyncio.sleep(WRITE_SECONDS)
                await self.write()
        finally:
            await self.write()
