"""Learns again by itself: a scheduled run from new events, from the beginning when what people do has drifted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from services.trainer.domain import DRIFT, Release, TrainingKind
from services.trainer.learning.interactions import EventKind
from services.trainer.ports import EventSource, ReleaseRepository
from services.trainer.train import Train
from shared.context.request import use_tenant
from shared.errors.base import MercatoError
from shared.telemetry.logs import logger

SHIFTED = 0.25
RANKER = "ranker.onnx"

_log = logger("schedule")


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePolicy:
    """See the settings of the same names."""

    train_hours: float = 24.0
    """0: never by itself."""
    look_seconds: float = 600.0
    default_kind: TrainingKind = TrainingKind.FULL


class Schedule:
    """Runs beside the servicer. Several trainers may: the job lock lets one through."""

    def __init__(
        self,
        train: Train,
        releases: ReleaseRepository,
        events: EventSource,
        policy: SchedulePolicy,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._train = train
        self._releases = releases
        self._events = events
        self._policy = policy
        self._now = now

    async def run(self) -> None:
        """Looks until cancelled."""
        while self._policy.train_hours > 0:
            await asyncio.sleep(self._policy.look_seconds)
            try:
                for tenant in await self._releases.lineups():
                    await self.look(tenant)
            except MercatoError as error:
                _log.info("nothing could be scheduled", error=str(error))

    async def look(self, tenant: str) -> TrainingKind | None:
        """Trains when it is time and something was bought since; returns how, None: it did not. Raises Unavailable."""
        newest, *_ = await self._releases.list_before(tenant, "", 1)
        if self._now() - newest.create_time.timestamp() < self._policy.train_hours * 3600:
            return None
        with use_tenant(tenant):
            if not await self._anything_since(newest):
                return None
        kind = kind_after(newest, self._policy.default_kind)
        _log.info("training begins by schedule", tenant=tenant, kind=str(kind))
        try:
            async for _ in self._train(tenant, kind, keep_current=False):
                pass
        except MercatoError as error:
            _log.warning("scheduled training failed", tenant=tenant, error=str(error))
        return kind

    async def _anything_since(self, newest: Release) -> bool:
        since_s = int(newest.data_end_time.timestamp()) + 1
        async for chunk in self._events.read((EventKind.PURCHASE,), since_s):
            if len(chunk):
                return True
        return False


def kind_after(newest: Release, default: TrainingKind) -> TrainingKind:
    """Goes on from what serves, unless there are no models to go on from or what people do has shifted."""
    if default is TrainingKind.TABLES:
        return TrainingKind.TABLES
    has_models = any(artifact.name == RANKER for artifact in newest.artifacts)
    shifted = any(metric.name == DRIFT and metric.value >= SHIFTED for metric in newest.metrics)
    return TrainingKind.INCREMENTAL if has_models and not shifted else TrainingKind.FULL
