"""Tells gateways which experiments run."""

from __future__ import annotations

from collections.abc import AsyncIterator

from services.trainer.experiments.domain import Experiment
from services.trainer.experiments.ports import ExperimentRepository
from services.trainer.watch import ReleaseNotifier, Watch


class WatchExperiments(Watch):
    """Streams all that run: at first, then whenever something changes."""

    def __init__(self, repository: ExperimentRepository, notifier: ReleaseNotifier, poll_seconds: float) -> None:
        super().__init__(notifier, poll_seconds)
        self._repository = repository

    async def __call__(self) -> AsyncIterator[list[tuple[str, Experiment]]]:
        """Yields tenants and experiments until the caller leaves. Raises Unavailable."""
        sent: list[tuple[str, Experiment]] | None = None
        async for _ in self.looks():
            running = await self._repository.running()
            if running != sent:
                sent = running
                yield running
