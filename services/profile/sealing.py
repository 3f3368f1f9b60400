"""Keeps everything that identifies people sealed by the ring's current key.

A rotation makes a new key, seals ids and data keys anew in batches, then destroys the older keys: from then on the
ids and events of whoever was erased before cannot be read from any copy: dead rows, logs of the database, backups.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from services.profile.errors import RotationRunning
from services.profile.ports import SealingStore
from shared.errors.base import MercatoError
from shared.privacy.key_ring import KeyRing
from shared.telemetry.logs import logger
from shared.telemetry.metrics import counter

_log = logger("sealing")
BATCH_ROWS, PAUSE_SECONDS = 1_000, 0.02
REFRESH_SECONDS, SETTLE_SECONDS = 2.0, 6.0
"""How often a process looks for a new key, and how long a rotation waits until all have found it."""
LOOK_SECONDS = 60.0
SEALED = counter("profile_sealed_rows_total", "Rows sealed: from clear, or by a newer key.", ("cause",))


@dataclass(frozen=True, slots=True)
class Step:
    """Progress of a rotation."""

    name: str
    done: int = 0
    total: int = 0


class Sealing:
    """Seals what stands in clear, and rotates keys."""

    def __init__(self, store: SealingStore, ring: KeyRing, rotate_hours: float) -> None:
        self._store = store
        self._ring = ring
        self._rotate_hours = rotate_hours

    async def prepare(self) -> None:
        """Before the service serves: people are found by sealed ids alone. Raises WrongRing."""
        await self._store.check()
        while count := await self._store.seal_ids(BATCH_ROWS):
            SEALED.labels("clear").inc(count)
            _log.info("ids sealed", rows=count)

    async def run(self) -> None:
        """Seals stored events, then rotates in time, until cancelled."""
        while count := await self._store.seal_events(BATCH_ROWS):
            SEALED.labels("clear").inc(count)
            await asyncio.sleep(PAUSE_SECONDS)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if await self._due():
                try:
                    async for step in self.rotate():
                        _log.info("rotating keys", step=step.name, done=step.done, total=step.total)
                except MercatoError as error:
                    _log.info("keys are not rotated", reason=error.reason.value)

    async def refresh(self) -> None:
        """Finds new keys soon, until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            self._ring.refresh()

    async def rotate(self) -> AsyncGenerator[Step, None]:
        """Rotates the keys. Raises RotationRunning and Unavailable; what is done stays done, and the next goes on.

        Where the ring is kept by somebody else (a mounted secret), everything is sealed by its current key, and its
        keeper removes the older ones.
        """
        async with self._store.rotation() as held:
            if not held:
                raise RotationRunning
            own = await asyncio.to_thread(self._add_key)
            if own:
                yield Step("waiting until all processes know the new key")
                await asyncio.sleep(SETTLE_SECONDS)
            while total := await self._store.count_older():
                done = 0
                async for count in self._store.reseal(BATCH_ROWS):
                    done += count
                    SEALED.labels("rotation").inc(count)
                    yield Step("sealing anew", done, max(done, total))
                    await asyncio.sleep(PAUSE_SECONDS)
            if own:
                gone = await asyncio.to_thread(self._ring.destroy_keys_before, self._ring.current)
                _log.info("keys destroyed", numbers=gone, current=self._ring.current)
            yield Step("done")

    def _add_key(self) -> bool:
        try:
            self._ring.add_key()
        except OSError:
            self._ring.refresh()
            return False
        return True

    async def _due(self) -> bool:
        """Whether somebody was erased under the present key, and it is old enough."""
        age_s = time.time() - self._ring.changed_s
        erased_s = await self._store.last_erasure_s()
        return bool(self._rotate_hours) and age_s > self._rotate_hours * 3600 and erased_s > self._ring.changed_s
