"""`python -m services.trainer.once --kind K --tenant T`: one training a tenant in this process, then the end.

For a scheduled job beside a trainer that serves: both keep to the same lock, and the trainer tells readers of the
release. Ends with 0 when every tenant has its release, whether its gate was passed or not, or has nothing to learn
from; 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from services.trainer.domain import Progress, Release, TrainingKind
from services.trainer.errors import NothingToLearn, ReleaseNotFound
from services.trainer.schedule import kind_after
from services.trainer.settings import TrainerSettings
from services.trainer.wiring import Trainer, opened
from shared.context.request import DEFAULT_TENANT, is_tenant
from shared.errors.base import MercatoError
from shared.telemetry.logs import configure_logs, logger

AUTO = "auto"
_log = logger("once")


async def train_once(trainer: Trainer, tenant: str, kind: TrainingKind | None) -> Release | None:
    """Trains; None: there is nothing to learn from. Raises JobRunning, JobRefused, JobFailed, Unavailable."""
    step = ""
    try:
        async for told in trainer.use_cases.train(tenant, kind, keep_current=False):
            if isinstance(told, Release):
                return told
            if isinstance(told, Progress) and told.step != step:
                step = told.step
                _log.info("training", tenant=tenant, step=step)
    except NothingToLearn as error:
        _log.info("nothing to learn from", tenant=tenant, reason=str(error))
    return None


async def _all(settings: TrainerSettings, tenants: list[str], kind: str) -> int:
    failed = 0
    async with opened(settings) as trainer:
        for tenant in tenants:
            try:
                wanted = await _wanted(trainer, tenant, kind)
                release = await train_once(trainer, tenant, wanted)
            except MercatoError as error:
                failed += 1
                _log.error("no release", tenant=tenant, error=str(error))
                continue
            if release is not None:
                passed = release.gate is None or release.gate.passed
                _log.info("release", tenant=tenant, release=release.release_id, passed=passed, current=release.current)
    return 1 if failed else 0


async def _wanted(trainer: Trainer, tenant: str, kind: str) -> TrainingKind | None:
    """`auto` goes on from the current release unless what people do has drifted, as the schedule does."""
    if kind != AUTO:
        return TrainingKind(kind)
    try:
        return kind_after(await trainer.use_cases.releases.get(tenant, ""), TrainingKind.FULL)
    except ReleaseNotFound:
        return TrainingKind.FULL


def main(arguments: list[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m services.trainer.once", description=__doc__)
    parser.add_argument("--kind", choices=(AUTO, *(str(kind) for kind in TrainingKind)), default=AUTO)
    parser.add_argument("--tenant", action="append", help=f"may be repeated; default: {DEFAULT_TENANT}")
    options = parser.parse_args(arguments)
    tenants = options.tenant or [DEFAULT_TENANT]
    if strange := [tenant for tenant in tenants if not is_tenant(tenant)]:
        parser.error(f"--tenant: not a tenant id: {strange[0]!r}")
    settings = TrainerSettings()
    configure_logs("training", level=settings.log_level, log_format=settings.log_format)
    try:
        return asyncio.run(_all(settings, tenants, options.kind))
    except MercatoError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
