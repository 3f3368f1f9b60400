"""Makes, changes, starts and stops experiments."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from services.trainer.errors import CannotStart, WrongState
from services.trainer.experiments.domain import BUCKETS, Experiment, State, allocate, clash
from services.trainer.experiments.ports import ExperimentRepository
from services.trainer.experiments.rules import completed
from services.trainer.watch import ReleaseNotifier
from shared.attribution.token import MOST_EXPOSURES
from shared.telemetry.logs import logger

MOST_LAYERS = MOST_EXPOSURES
"""Layers with running experiments: an answer may come from one of each, and its token must name them."""
MOST_RELEASES = 2
"""Releases in running experiments at once: every reader holds them beside the current one."""
MOST_RUNNING = 32
SALT_BYTES = 8

_log = logger("experiments")


class ManageExperiments:
    """The use cases. All raise Unavailable."""

    def __init__(self, repository: ExperimentRepository, notifier: ReleaseNotifier) -> None:
        self._repository = repository
        self._notifier = notifier

    async def create(self, tenant: str, given: Experiment) -> Experiment:
        """Stores a draft. Raises InvalidArgument, AlreadyExists."""
        made = replace(
            completed(given), state=State.DRAFT, salt=secrets.token_hex(SALT_BYTES), create_time=datetime.now(UTC)
        )
        await self._repository.insert(tenant, made)
        return made

    async def update(
        self, tenant: str, experiment_id: str, merge: Callable[[Experiment], Experiment], *, harmless: bool
    ) -> Experiment:
        """Merges new values in; those that are harmless may change while it runs.

        Raises InvalidArgument, ExperimentNotFound, WrongState.
        """

        def decide(stored: Experiment, _: Sequence[Experiment]) -> Experiment:
            if stored.state is State.STOPPED or (stored.state is State.RUNNING and not harmless):
                raise WrongState(experiment_id, stored.state, "a draft")
            return completed(merge(stored))

        changed = await self._repository.change(tenant, experiment_id, decide)
        self._notifier.changed()
        return changed

    async def start(self, tenant: str, experiment_id: str) -> Experiment:
        """Gives it buckets. Raises ExperimentNotFound, ReleaseNotFound, WrongState, CannotStart."""
        now = datetime.now(UTC)
        started = await self._repository.change(
            tenant, experiment_id, lambda stored, running: begun(stored, running, now)
        )
        self._notifier.changed()
        _log.info("experiment started", tenant=tenant, experiment=experiment_id)
        return started

    async def stop(self, tenant: str, experiment_id: str, cause: str) -> Experiment:
        """Takes its buckets away. Raises ExperimentNotFound, WrongState."""

        def decide(stored: Experiment, _: Sequence[Experiment]) -> Experiment:
            if stored.state is not State.RUNNING:
                raise WrongState(experiment_id, stored.state, "running")
            return replace(stored, state=State.STOPPED, stop_time=datetime.now(UTC), stop_cause=cause)

        stopped = await self._repository.change(tenant, experiment_id, decide)
        self._notifier.changed()
        _log.info("experiment stopped", tenant=tenant, experiment=experiment_id, cause=cause)
        return stopped


def begun(stored: Experiment, running: Sequence[Experiment], now: datetime) -> Experiment:
    """The experiment with its buckets. Raises WrongState, CannotStart."""
    experiment_id = stored.experiment_id
    if stored.state is not State.DRAFT:
        raise WrongState(experiment_id, stored.state, "a draft")
    if stored.end_time is not None and stored.end_time <= now:
        raise CannotStart(experiment_id, "its end_time has passed")
    for other in running:
        shared = clash(stored, other)
        if shared:
            cause = f"{other.experiment_id!r} of layer {other.layer!r} changes {shared} too; put both in one layer"
            raise CannotStart(experiment_id, cause)
    _check_limits(stored, running)
    taken = [one for other in running if other.layer == stored.layer for one in other.buckets]
    buckets = allocate(stored.bucket_count(), taken, int(stored.salt, 16) % BUCKETS)
    if buckets is None:
        free = (BUCKETS - sum(one.count for one in taken)) / BUCKETS
        raise CannotStart(
            experiment_id, f"layer {stored.layer!r} has {free:.2%} of people left, not {stored.share:.2%}"
        )
    return replace(stored, state=State.RUNNING, start_time=now, buckets=buckets)


def _check_limits(stored: Experiment, running: Sequence[Experiment]) -> None:
    together = [*running, stored]
    layers = {one.layer for one in together}
    releases = frozenset().union(*(one.release_ids() for one in together))
    for count, most, name in (
        (len(together), MOST_RUNNING, "experiments"),
        (len(layers), MOST_LAYERS, "layers"),
        (len(releases), MOST_RELEASES, "releases in experiments"),
    ):
        if count > most:
            raise CannotStart(stored.experiment_id, f"at most {most} {name} run at once")
