"""Tells readers which releases to hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from services.trainer.domain import Lineup
from services.trainer.ports import ReleaseRepository
from shared.context.waiting import happens


class ReleaseNotifier:
    """Wakes all watchers of this process."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Says that a release was promoted or a rollout began or ended."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Returns at the next change, or after `seconds`."""
        await happens(self._changed, seconds)


class Watch:
    """Streams that look at first, then after every change, here or in another process."""

    def __init__(self, notifier: ReleaseNotifier, poll_seconds: float) -> None:
        self._notifier = notifier
        self._poll_seconds = poll_seconds
        self._ended = False

    def end(self) -> None:
        """Ends all streams; watchers reconnect to a process that goes on."""
        self._ended = True
        self._notifier.changed()

    async def looks(self) -> AsyncIterator[None]:
        """Yields whenever it is time to look, until `end`."""
        while not self._ended:
            yield
            await self._notifier.wait(self._poll_seconds)


class WatchReleases(Watch):
    """Streams lineups: all at first, then those that change."""

    def __init__(self, repository: ReleaseRepository, notifier: ReleaseNotifier, poll_seconds: float) -> None:
        super().__init__(notifier, poll_seconds)
        self._repository = repository

    async def __call__(self) -> AsyncIterator[tuple[str, Lineup]]:
        """Yields tenant and lineup until the caller leaves. Raises Unavailable."""
        sent: dict[str, tuple[object, ...]] = {}
        async for _ in self.looks():
            for tenant, lineup in (await self._repository.lineups()).items():
                if sent.get(tenant) != lineup.key:
                    sent[tenant] = lineup.key
                    yield tenant, lineup
