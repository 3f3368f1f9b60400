"""One person's rights over data sets, and how long remains of jobs are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.trainer.errors import DataSetInUse
from services.trainer.leftovers import Leftovers, PersonRow
from services.trainer.ports import ReleaseRepository
from shared.errors.base import MercatoError
from shared.privacy.retention import REMOVED
from shared.telemetry.logs import logger

_log = logger("privacy")
MOST_RELEASES = 100


@dataclass(frozen=True, slots=True)
class ErasedData:
    """What an erasure found."""

    row_count: int
    release_ids: tuple[str, ...]
    """Kept releases, learnt before the erasure. They hold counts and weights over all people, nothing of one."""


class DataSetPrivacy:
    """Reads and changes the work folders, each while no job of its tenant runs."""

    def __init__(self, work: Path, repository: ReleaseRepository, keep_days: int, every_seconds: float) -> None:
        self._work = work
        self._repository = repository
        self._keep_days = keep_days
        self._every = every_seconds

    @property
    def keep_days(self) -> int:
        """How long remains are kept; 0: without limit."""
        return self._keep_days

    async def erase(self, tenant: str, keys: Sequence[bytes]) -> ErasedData:
        """Removes data sets with these pseudonyms. Raises DataSetInUse while a job runs, and Unavailable."""
        async with self._repository.job_lock(tenant) as held:
            if not held:
                raise DataSetInUse
            rows = await asyncio.to_thread(Leftovers(self._work / tenant).erase, keys)
        releases = await self._repository.list_before(tenant, "", MOST_RELEASES)
        return ErasedData(rows, tuple(release.release_id for release in releases))

    async def export(self, tenant: str, keys: Sequence[bytes]) -> list[PersonRow]:
        """The person's rows. Raises DataSetInUse while a job writes or reads them."""
        async with self._repository.job_lock(tenant) as held:
            if not held:
                raise DataSetInUse
            return await asyncio.to_thread(lambda: list(Leftovers(self._work / tenant).rows_of(keys)))

    async def apply_retention(self, tenant: str, *, dry_run: bool) -> int:
        """Removes, or counts, remains older than the limit; none while a job runs."""
        if not self._keep_days:
            return 0
        async with self._repository.job_lock(tenant) as held:
            if not held:
                return 0
            leftovers = Leftovers(self._work / tenant)
            old = await asyncio.to_thread(leftovers.older, self._keep_days)
            for path in () if dry_run else old:
                await asyncio.to_thread(leftovers.remove, path)
                REMOVED.labels("trainer", "job_remains").inc()
            return len(old)

    async def run(self) -> None:
        """Applies retention to all tenants until cancelled."""
        while True:
            try:
                for tenant in await asyncio.to_thread(_folders, self._work):
                    if count := await self.apply_retention(tenant, dry_run=False):
                        _log.info("removed by retention", tenant=tenant, kind="job_remains", rows=count)
            except MercatoError as error:
                _log.warning("retention is put off", reason=str(error.reason))
            await asyncio.sleep(self._every)


def _folders(work: Path) -> list[str]:
    return sorted(path.name for path in work.iterdir() if path.is_dir()) if work.is_dir() else []
