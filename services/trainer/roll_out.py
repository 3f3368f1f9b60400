"""Tries releases beside the current one, and ends a trial that does harm."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.trainer.domain import Arm, Rollout, RolloutMode
from services.trainer.ports import OutcomeSource, RolloutRepository
from services.trainer.watch import ReleaseNotifier
from shared.errors.base import MercatoError
from shared.evaluation import sequential
from shared.evaluation.sequential import SequentialComparison, SequentialConfig, Verdict
from shared.telemetry.logs import logger

_log = logger("rollouts")


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPolicy:
    """See the settings of the same names."""

    check_seconds: float = 30.0
    confidence: float = 0.95


class RollOut:
    """Starts and stops trials."""

    def __init__(self, repository: RolloutRepository, notifier: ReleaseNotifier) -> None:
        self._repository = repository
        self._notifier = notifier

    async def start(self, tenant: str, release_id: str, mode: RolloutMode, share: float) -> Rollout:
        """Raises ReleaseNotFound, AlreadyCurrent, Unavailable."""
        rollout = await self._repository.start(tenant, release_id, mode, share)
        self._notifier.changed()
        return rollout

    async def stop(self, tenant: str) -> Rollout:
        """Raises NoRollout, Unavailable."""
        rollout = await self._repository.stop(tenant, "stopped by hand")
        self._notifier.changed()
        return rollout

    async def latest(self, tenant: str) -> Rollout:
        """Raises NoRollout, Unavailable."""
        return await self._repository.latest(tenant)


class WatchRollouts:
    """Compares what the two releases of each canary led to; runs beside the servicer.

    The interval holds at every look (see `shared.evaluation.sequential`), so looking often does not raise the rate of
    false alarms.
    """

    def __init__(
        self, repository: RolloutRepository, outcomes: OutcomeSource, notifier: ReleaseNotifier, policy: RolloutPolicy
    ) -> None:
        self._repository = repository
        self._outcomes = outcomes
        self._notifier = notifier
        self._policy = policy

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await asyncio.sleep(self._policy.check_seconds)
            try:
                for tenant in await self._repository.running_canaries():
                    await self.look(tenant)
            except MercatoError as error:
                _log.info("rollouts cannot be compared", error=str(error))

    async def look(self, tenant: str) -> Rollout:
        """Compares once and stores what was found. Raises NoRollout, Unavailable."""
        rollout = await self._repository.latest(tenant)
        ids = (rollout.baseline_release_id, rollout.release_id)
        arms = await self._outcomes.count(tenant, ids, int(rollout.start_time.timestamp()))
        found = judged(rollout, arms, self._policy.confidence)
        await self._repository.note(tenant, found)
        if not found.running:
            self._notifier.changed()
            _log.warning("canary stopped", tenant=tenant, release=rollout.release_id, finding=found.finding)
        return found


def judged(rollout: Rollout, arms: Sequence[Arm], confidence: float) -> Rollout:
    """What the counts say; a trial that is worse is no longer running."""
    by_release = {arm.release_id: arm for arm in arms}
    empty = (Arm(rollout.baseline_release_id, 0, 0, 0), Arm(rollout.release_id, 0, 0, 0))
    baseline, trial = (by_release.get(arm.release_id, arm) for arm in empty)
    # Two questions are asked of the same data: each gets half of the chance to err.
    config = SequentialConfig(alpha=(1.0 - confidence) / 2.0)
    clicks = _compared(trial.clicked, trial.shown, baseline.clicked, baseline.shown, config)
    purchases = _compared(trial.purchased, trial.shown, baseline.purchased, baseline.shown, config)
    worse = Verdict.WORSE in (clicks.verdict, purchases.verdict)
    rates = (
        f"clicked {_rate(trial.clicked, trial.shown)} against {_rate(baseline.clicked, baseline.shown)}, "
        f"bought {_rate(trial.purchased, trial.shown)} against {_rate(baseline.purchased, baseline.shown)}"
    )
    better = Verdict.BETTER in (clicks.verdict, purchases.verdict)
    verdict = "stopped by itself because it is worse" if worse else "better" if better else "undecided"
    return replace(
        rollout,
        arms=(baseline, trial),
        finding=f"{verdict}: {rates}",
        running=rollout.running and not worse,
        difference_low=clicks.difference.low,
        difference_high=clicks.difference.high,
    )


def _compared(
    wins: int, trials: int, other_wins: int, other_trials: int, config: SequentialConfig
) -> SequentialComparison:
    one = sequential.Arm(successes=wins, trials=trials)
    other = sequential.Arm(successes=other_wins, trials=other_trials)
    return sequential.compare_rates(one, other, config)


def _rate(wins: int, trials: int) -> str:
    return f"{wins / trials:.4f} of {trials}" if trials else "nobody yet"
