"""All valid keys in memory: no call waits for the database, and keys go on working while it is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from services.gateway.access.keys import LONGEST_SECRET, KnownSecret, digest
from services.gateway.access.ports import KeyStore
from shared.errors.base import Unavailable
from shared.telemetry.logs import logger
from shared.telemetry.metrics import gauge

_log = logger("keys")
_AGAIN_SECONDS = 0.05
"""Least time between two looks for keys that are not known."""
_LONGEST_LOOK_SECONDS = 0.5
AGE_SECONDS = gauge("gateway_keys_age_seconds", "Time since the API keys were last compared with the database.")


@dataclass(frozen=True, slots=True)
class KeyTimes:
    """How fresh keys are."""

    poll_seconds: float = 1.0
    """Pause between two looks at the store: the longest time until a key revoked elsewhere ends here."""
    outage_seconds: float = 900.0
    """How long keys are trusted while the store is away."""


class KnownKeys:
    """Follows the store. Until it was read once, `find` and `any_key` raise Unavailable: nobody is let in unseen."""

    def __init__(self, store: KeyStore, times: KeyTimes, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._times = times
        self._clock = clock
        self._secrets: dict[bytes, KnownSecret] = {}
        self._any_key = False
        self._change_number = 0
        self._read_at: float | None = None
        self._reading = asyncio.Lock()
        self._look: asyncio.Task[None] | None = None
        self._looked_at = clock() - _AGAIN_SECONDS

    @property
    def any_key(self) -> bool:
        """Whether there was ever a key. Raises Unavailable while that is not known yet."""
        if self._read_at is None:
            raise Unavailable("postgres")
        return self._any_key

    def find(self, secret: str) -> KnownSecret | None:
        """The valid key that ``secret`` opens; looked up by its hash, so that timing tells nothing of other keys.

        Raises Unavailable when the keys were not read yet, or not for longer than the outage that is allowed.
        """
        if self._read_at is None or self._clock() - self._read_at > self._times.outage_seconds:
            raise Unavailable("postgres")
        found = self._secrets.get(digest(secret)) if len(secret) <= LONGEST_SECRET else None
        if found is None or (found.ends_s is not None and time.time() >= found.ends_s):
            return None
        return found

    async def seek(self, secret: str) -> KnownSecret | None:
        """Like `find`, but looks in the store when the key is not known: one made just now elsewhere counts at once.

        All calls with unknown keys share a look, so that guessing costs the store next to nothing.
        """
        found = self.find(secret)
        if found is not None:
            return found
        if (self._look is None or self._look.done()) and self._clock() - self._looked_at >= _AGAIN_SECONDS:
            self._looked_at = self._clock()
            self._look = asyncio.create_task(self._try_refresh())
        if self._look is not None:
            await asyncio.wait({self._look}, timeout=_LONGEST_LOOK_SECONDS)
        return self.find(secret)

    async def _try_refresh(self) -> None:
        with suppress(Exception):  # the follower tells of it, and what is known holds
            await self.refresh()

    async def refresh(self) -> None:
        """Reads what changed. Raises what the store raises."""
        async with self._reading:
            began = self._clock()
            if await self._store.change_number() != self._change_number:
                read = await self._store.load()
                self._secrets = {secret.sha256: secret for secret in read.secrets}
                self._any_key, self._change_number = read.any_key, read.change_number
            self._read_at = began

    async def check(self) -> None:
        """A critical health check: a gateway that does not know yet who may call is not serving."""
        if self._read_at is None:
            raise Unavailable("postgres")

    async def follow(self) -> None:
        """Refreshes until cancelled."""
        away = False
        while True:
            try:
                await self.refresh()
                if away:
                    _log.info("keys are read again")
                away = False
            except Exception as error:  # whatever the store raises, it is asked again
                if not away:
                    _log.warning(
                        "keys cannot be read", error=type(error).__name__, trusted_s=self._times.outage_seconds
                    )
                away = True
            AGE_SECONDS.set(self._clock() - self._read_at if self._read_at is not None else -1)
            await asyncio.sleep(self._times.poll_seconds)
