"""Removes what is older than the settings allow, in small batches beside the calls."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.profile.ports import RetentionStore
from shared.errors.base import MercatoError
from shared.privacy.retention import REMOVED
from shared.telemetry.logs import logger

_log = logger("retention")
BATCH_ROWS = 5_000
BATCH_PAUSE_SECONDS = 0.05
"""Between two batches, so that writers are not held up."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What one rule did."""

    kind: str
    days: int
    """How long records are kept; 0: without limit."""
    row_count: int


class ApplyRetention:
    """Rules by kind of record, in days; 0 keeps everything. `tombstones` and the like end by themselves."""

    def __init__(self, store: RetentionStore, days: Mapping[str, int], every_seconds: float) -> None:
        self._store = store
        self._days = dict(days)
        self._every = every_seconds

    async def __call__(self, tenant: str, *, dry_run: bool) -> Sequence[Removed]:
        """Applies all rules to one tenant, or only counts."""
        return [
            Removed(kind, days, await self._apply(tenant, kind, days, dry_run=dry_run))
            for kind, days in self._days.items()
        ]

    async def run(self) -> None:
        """Applies the rules to every tenant until cancelled."""
        while True:
            try:
                for tenant in await self._store.tenants():
                    for one in await self(tenant, dry_run=False):
                        if one.row_count:
                            _log.info("removed by retention", tenant=tenant, kind=one.kind, rows=one.row_count)
            except MercatoError as error:
                _log.warning("retention is put off", reason=str(error.reason))
            await asyncio.sleep(self._every)

    async def _apply(self, tenant: str, kind: str, days: int, *, dry_run: bool) -> int:
        if not days:
            return 0
        if dry_run:
            return await self._store.count_older(tenant, kind, days)
        total = 0
        while removed := await self._store.remove_older(tenant, kind, days, BATCH_ROWS):
            total += removed
            REMOVED.labels("profile", kind).inc(removed)
            await asyncio.sleep(BATCH_PAUSE_SECONDS)
        return total
