"""Holds the current release of every tenant, and follows the trainer."""

from __future__ import annotations

import asyncio

from services.retrieval.domain.release import ReleaseLists
from services.retrieval.ports import ReleaseSource
from shared.errors.base import MercatoError
from shared.telemetry.logs import logger
from shared.telemetry.metrics import counter

LOADED = counter("retrieval_releases_loaded_total", "Releases read from the trainer.")
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 5.0
_log = logger("releases")


class Releases:
    """Current lists by tenant. A new release replaces the one before as a whole."""

    def __init__(self) -> None:
        self._lists: dict[str, ReleaseLists] = {}

    def of(self, tenant: str) -> ReleaseLists | None:
        """A tenant's lists; None until there are some."""
        return self._lists.get(tenant)

    def put(self, tenant: str, lists: ReleaseLists) -> None:
        """Sets a tenant's lists."""
        self._lists[tenant] = lists


class FollowReleases:
    """Runs beside the servicer. The trainer may start later, go and come back; the last release stays meanwhile."""

    def __init__(self, source: ReleaseSource, releases: Releases) -> None:
        self._source = source
        self._releases = releases

    async def run(self) -> None:
        """Follows until cancelled."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                async for tenant, release_id in self._source.watch():
                    await self._load(tenant, release_id)
                    pause = _FIRST_PAUSE_SECONDS
            except MercatoError as error:
                _log.info("trainer cannot be followed", error=str(error), retry_seconds=round(pause, 1))
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _load(self, tenant: str, release_id: str) -> None:
        held = self._releases.of(tenant)
        if held is not None and held.release_id == release_id:
            return
        lists = await self._source.read(tenant, release_id)
        self._releases.put(tenant, lists)
        LOADED.inc()
        _log.info("release loaded", tenant=tenant, release_id=release_id, items=len(lists.numbers))
