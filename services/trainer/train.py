"""The training job: reads purchases, computes the tables, saves and promotes a release."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from services.trainer.domain import Categories, Progress, Purchases, Release, Tables
from services.trainer.errors import JobRunning, NothingToLearn
from services.trainer.learning.categories import number_categories
from services.trainer.learning.neighbours import NeighbourConfig, item_neighbours
from services.trainer.learning.purchases import PurchaseCollector
from services.trainer.learning.renewal import renewal_table
from services.trainer.learning.statistics import item_statistics
from services.trainer.ports import CategorySource, PurchaseSource, ReleaseRepository, TableKind
from services.trainer.watch import ReleaseNotifier
from shared.errors.base import MercatoError
from shared.telemetry.logs import logger

_log = logger("train")

Serialize = Callable[[Tables], dict[TableKind, list[bytes]]]
Report = Callable[[Progress | Release], None]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where data come from."""

    purchases: PurchaseSource
    categories: CategorySource


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What is learnt from and how much is kept."""

    history_days: int
    neighbours: NeighbourConfig
    jobs: int = 1


class Train:
    """Starts jobs, one a tenant at a time, and lets callers follow them."""

    def __init__(
        self,
        sources: Sources,
        repository: ReleaseRepository,
        notifier: ReleaseNotifier,
        serialize: Serialize,
        config: TrainConfig,
    ) -> None:
        self._sources = sources
        self._repository = repository
        self._notifier = notifier
        self._serialize = serialize
        self._config = config
        self._jobs: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(config.jobs)

    async def __call__(self, tenant: str, *, keep_current: bool) -> AsyncIterator[Progress | Release]:
        """Runs a job and streams its progress, the release last; the job goes on when the caller leaves.

        Raises JobRunning, NothingToLearn, Unavailable.
        """
        steps: asyncio.Queue[Progress | Release | MercatoError] = asyncio.Queue()
        job = asyncio.create_task(self._run(tenant, keep_current, steps))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        while True:
            step = await self._next(steps, job)
            if isinstance(step, MercatoError):
                raise step
            yield step
            if isinstance(step, Release):
                return

    async def close(self) -> None:
        """Cancels running jobs; a job that did not end leaves no trace."""
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    @staticmethod
    async def _next(
        steps: asyncio.Queue[Progress | Release | MercatoError], job: asyncio.Task[None]
    ) -> Progress | Release | MercatoError:
        waiting = asyncio.ensure_future(steps.get())
        await asyncio.wait({waiting, job}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            if steps.empty():
                waiting.cancel()
                job.result()  # a defect in the job is a defect of the call
            await asyncio.wait({waiting}, timeout=1.0)
        return waiting.result()

    async def _run(
        self, tenant: str, keep_current: bool, steps: asyncio.Queue[Progress | Release | MercatoError]
    ) -> None:
        try:
            async with self._repository.job_lock(tenant) as held:
                if not held:
                    raise JobRunning
                if self._turns.locked():
                    steps.put_nowait(Progress("waiting for the training of another tenant"))
                async with self._turns:
                    steps.put_nowait(await self._job(tenant, keep_current, steps.put_nowait))
        except MercatoError as error:
            _log.warning("training failed", error=str(error))
            steps.put_nowait(error)

    async def _job(self, tenant: str, keep_current: bool, report: Report) -> Release:
        started = time.monotonic()
        purchases = await self._read(report)
        report(Progress("reading categories"))
        paths = await self._sources.categories.paths(purchases.product_ids)
        categories = number_categories(purchases.product_ids, paths)
        loop = asyncio.get_running_loop()
        tables = await asyncio.to_thread(
            self._compute, purchases, categories, lambda step: _from_thread(loop, report, step)
        )
        report(Progress("saving the release"))
        release = _release(purchases, tables)
        await self._repository.save(tenant, release, await asyncio.to_thread(self._serialize, tables))
        if not keep_current:
            release = await self._repository.promote(tenant, release.release_id)
            self._notifier.changed()
        seconds = round(time.monotonic() - started, 1)
        _log.info("release trained", release=release.release_id, pairs=release.pair_count, seconds=seconds)
        return release

    async def _read(self, report: Report) -> Purchases:
        collector = PurchaseCollector()
        report(Progress("reading purchases"))
        async for chunk in self._sources.purchases.read():
            collector.add(chunk)
            report(Progress("reading purchases", collector.row_count, chunk.total_rows))
        purchases = await asyncio.to_thread(collector.finish, self._config.history_days)
        if purchases is None:
            raise NothingToLearn
        return purchases

    def _compute(self, purchases: Purchases, categories: Categories, report: Report) -> Tables:
        report(Progress("computing item statistics"))
        statistics = item_statistics(purchases, categories)
        renewal = renewal_table(purchases)
        neighbours = item_neighbours(
            purchases,
            self._config.neighbours,
            lambda done, total: report(Progress("computing item neighbours", done, total)),
        )
        return Tables(
            purchases.product_ids,
            purchases.user_count,
            purchases.end_time_s,
            categories,
            statistics,
            renewal,
            neighbours,
        )


def _from_thread(loop: asyncio.AbstractEventLoop, report: Report, step: Progress | Release) -> None:
    loop.call_soon_threadsafe(report, step)


def _release(purchases: Purchases, tables: Tables) -> Release:
    now = datetime.now(UTC)
    return Release(
        release_id=f"r{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}",
        create_time=now,
        current=False,
        data_end_time=datetime.fromtimestamp(purchases.end_time_s, UTC),
        purchase_count=len(purchases.users),
        user_count=purchases.user_count,
        product_count=len(purchases.product_ids),
        pair_count=len(tables.neighbours.neighbours),
    )
