"""Reports on experiments, and the end of those that do harm."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from services.trainer.errors import WrongState
from services.trainer.experiments.domain import Experiment, State
from services.trainer.experiments.judge import Report, judge
from services.trainer.experiments.manage import ManageExperiments
from services.trainer.experiments.outcomes import KINDS, OutcomeCounter
from services.trainer.experiments.ports import ExperimentRepository
from services.trainer.ports import EventSource
from shared.context.request import use_tenant
from shared.errors.base import MercatoError
from shared.telemetry.logs import logger

_log = logger("experiments")


class ReportExperiment:
    """Counts what an experiment led to."""

    def __init__(self, repository: ExperimentRepository, events: EventSource) -> None:
        self._repository = repository
        self._events = events

    async def __call__(self, tenant: str, experiment_id: str) -> Report:
        """Raises ExperimentNotFound, WrongState (it was not started), Unavailable."""
        experiment = await self._repository.get(tenant, experiment_id)
        if experiment.start_time is None:
            raise WrongState(experiment_id, State.DRAFT, "running or stopped")
        return await self.of(tenant, experiment)

    async def of(self, tenant: str, experiment: Experiment) -> Report:
        """The report of one that was started. Raises Unavailable."""
        assert experiment.start_time is not None
        start_s = int(experiment.start_time.timestamp())
        stop_s = int(experiment.stop_time.timestamp()) if experiment.stop_time is not None else None
        counter, now = OutcomeCounter(experiment, start_s, stop_s), datetime.now(UTC)
        with use_tenant(tenant):
            async for chunk in self._events.read(KINDS, start_s):
                await asyncio.to_thread(counter.add, chunk)
        found = await asyncio.to_thread(counter.finish, now.timestamp())
        return await asyncio.to_thread(judge, experiment, found, now)


class GuardExperiments:
    """Looks at experiments with guardrails; runs beside the servicer.

    Intervals hold at every look, so looking often raises no false alarms.
    """

    def __init__(
        self, repository: ExperimentRepository, manage: ManageExperiments, report: ReportExperiment, seconds: float
    ) -> None:
        self._repository = repository
        self._manage = manage
        self._report = report
        self._seconds = seconds

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                for tenant, experiment in await self._repository.running():
                    if experiment.guardrails:
                        await self.look(tenant, experiment)
            except MercatoError as error:
                _log.info("experiments cannot be looked at", error=str(error))

    async def look(self, tenant: str, experiment: Experiment) -> Report:
        """Stops it when a variant is worse in a guardrail. Raises Unavailable, WrongState (it stopped meanwhile)."""
        report = await self._report.of(tenant, experiment)
        harm = next(report.worse(), None)
        if harm is None:
            return report
        cause = f"{harm[0]} is worse in {harm[1].replace('_', '-')}"
        stopped = await self._manage.stop(tenant, experiment.experiment_id, cause)
        return replace(report, experiment=stopped)
