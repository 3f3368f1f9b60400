"""Tells gateways which experiments run."""

from __future__ import annotations

from collections.abc import AsyncIterator

from services.trainer.experiments.domain import Experiment
from services.trainer.experiments.ports import ExperimentRepository
from services.trainer.watch import ReleaseNotifier


class WatchExperiments:
    """Streams all that run: at first, then whenever something changes, here or in another process."""

    def __init__(self, repository: ExperimentRepository, notifier: ReleaseNotifier, poll_seconds: float) -> None:
        self._repository = repository
        self._notifier = notifier
        self._poll_seconds = poll_seconds
        self._ended = False

    def end(self) -> None:
        """Ends all streams; watchers reconnect to a process that goes on."""
        self._ended = True
        self._notifier.changed()

    async def __call__(self) -> AsyncIterator[list[tuple[str, Experiment]]]:
        """Yields tenants and experiments until the caller leaves. Raises Unavailable."""
        sent: list[tuple[str, Experiment]] | None = None
        while not self._ended:
            running = await self._repository.running()
            if running != sent:
                sent = running
                yield running
            await self._notifier.wait(self._poll_seconds)
