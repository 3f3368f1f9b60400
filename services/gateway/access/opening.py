"""Brings access control up: the schema, keys of earlier releases, the first look at the keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from services.gateway.access.known_keys import KnownKeys
from shared.telemetry.logs import logger

_log = logger("keys")
AGAIN_SECONDS = 0.5


class OpenAccess:
    """Prepares once, then follows the keys. The gateway starts without the database and lets nobody in meanwhile."""

    def __init__(self, prepare: Callable[[], Awaitable[None]], keys: KnownKeys) -> None:
        self._prepare = prepare
        self._keys = keys
        self._prepared = False

    async def within(self, seconds: float) -> None:
        """Waits until the keys are known, at most ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self._until_prepared()
        except TimeoutError:
            _log.warning("the gateway starts without knowing who may call; it will when the database is there")

    async def run(self) -> None:
        """Prepares, unless that was done, and follows the keys until cancelled."""
        await self._until_prepared()
        await self._keys.follow()

    async def _until_prepared(self) -> None:
        while not self._prepared:
            try:
                await self._prepare()
                await self._keys.refresh()
                self._prepared = True
            except Exception as error:  # the database may not be there yet
                _log.warning("access control is not ready", error=f"{type(error).__name__}: {error}"[:200])
                await asyncio.sleep(AGAIN_SECONDS)
