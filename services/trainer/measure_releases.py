"""Says how old the releases in use are and how far people have moved since; true again after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from services.trainer.domain import DRIFT, Lineup, Release
from services.trainer.ports import ReleaseRepository
from shared.errors.base import MercatoError
from shared.telemetry.logs import logger
from shared.telemetry.metrics import gauge

EVERY_SECONDS = 30.0
MADE = gauge(
    "trainer_release_timestamp_seconds", "When the oldest current release of any tenant was made; 0 without one."
)
LEARNT = gauge("trainer_data_timestamp_seconds", "Latest purchase that the oldest current release of any tenant knows.")
MOVED = gauge("trainer_drift", "Largest population stability index of the current releases; .25 and more is a shift.")

_log = logger("measure_releases")


class MeasureReleases:
    """Runs beside the servicer."""

    def __init__(self, releases: ReleaseRepository, seconds: float = EVERY_SECONDS) -> None:
        self._releases = releases
        self._seconds = seconds

    async def run(self) -> None:
        """Measures until cancelled."""
        while True:
            try:
                measure((await self._releases.lineups()).values())
            except MercatoError as error:
                _log.info("releases cannot be read", error=str(error))
            await asyncio.sleep(self._seconds)


def measure(lineups: Iterable[Lineup]) -> None:
    """Sets the gauges."""
    current = [lineup.current for lineup in lineups]
    MADE.set(min((one.create_time.timestamp() for one in current), default=0.0))
    LEARNT.set(min((one.data_end_time.timestamp() for one in current), default=0.0))
    MOVED.set(max((drift_of(one) for one in current), default=0.0))


def drift_of(release: Release) -> float:
    """The largest index of any feature; 0 where none was measured."""
    return max((metric.value for metric in release.metrics if metric.name == DRIFT), default=0.0)
