"""Training: gathers a data set, lets a job learn from it, stores the release, promotes it when its gate is passed."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from services.trainer.datasets.events import Report as Steps
from services.trainer.domain import (
    Artifact,
    Progress,
    Release,
    TrainingKind,
    artifact_of,
    content_hash_of,
)
from services.trainer.errors import JobRunning, ReleaseNotFound
from services.trainer.gather import Gather
from services.trainer.job.files import CHECKPOINTS, CURRENT, DATA, OUTPUT, RESULT, Order, Result, read_artifacts
from services.trainer.ports import Chunks, JobRunner, ReleaseRepository
from services.trainer.watch import ReleaseNotifier
from shared.context.request import use_tenant
from shared.context.waiting import end
from shared.errors.base import MercatoError
from shared.telemetry.logs import logger
from shared.telemetry.metrics import counter, histogram
from shared.telemetry.tracing import note, work_span

_log = logger("train")

TRAININGS = counter("trainer_trainings_total", "Finished trainings by kind and outcome.", ("kind", "outcome"))
SECONDS = histogram(
    "trainer_training_seconds", "Duration of trainings.", ("kind",), (1, 10, 30, 60, 300, 900, 1800, 3600, 10800, 43200)
)

Report = Callable[[Progress | Release], None]
HASH_LETTERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """See the settings of the same names."""

    work: Path
    neighbours: int = 50
    least_purchases: int = 2
    behaviour_seconds: float = 120.0
    threads: int = 2
    jobs: int = 1
    default_kind: TrainingKind = TrainingKind.TABLES


class Train:
    """Starts jobs, one a tenant at a time, and lets callers follow them."""

    def __init__(
        self,
        gather: Gather,
        runner: JobRunner,
        repository: ReleaseRepository,
        notifier: ReleaseNotifier,
        config: TrainConfig,
    ) -> None:
        self._gather = gather
        self._runner = runner
        self._repository = repository
        self._notifier = notifier
        self._config = config
        self._jobs: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(config.jobs)

    async def __call__(
        self, tenant: str, kind: TrainingKind | None, *, keep_current: bool
    ) -> AsyncIterator[Progress | Release]:
        """Runs a job and streams its progress, the release last; the job goes on when the caller leaves.

        Raises JobRunning, JobRefused, NothingToLearn, JobFailed, Unavailable.
        """
        steps: asyncio.Queue[Progress | Release | MercatoError] = asyncio.Queue()
        job = asyncio.create_task(self._run(tenant, kind or self._config.default_kind, keep_current, steps))
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
        """Cancels running jobs; their checkpoints stay, so that the next one goes on there."""
        await end(self._jobs)

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
        self,
        tenant: str,
        kind: TrainingKind,
        keep_current: bool,
        steps: asyncio.Queue[Progress | Release | MercatoError],
    ) -> None:
        began, outcome = time.monotonic(), "cancelled"
        try:
            async with self._repository.job_lock(tenant) as held:
                if not held:
                    raise JobRunning
                if self._turns.locked():
                    steps.put_nowait(Progress("waiting for the training of another tenant"))
                async with self._turns:
                    with use_tenant(tenant), work_span("training", {"kind": str(kind)}, always=True):
                        release = await self._job(tenant, kind, keep_current, steps.put_nowait)
            outcome = outcome_of(release)
            steps.put_nowait(release)
        except MercatoError as error:
            outcome = "not started" if isinstance(error, JobRunning) else "failed"
            _log.warning("training failed", error=str(error))
            steps.put_nowait(error)
        finally:
            TRAININGS.labels(str(kind), outcome).inc()
            SECONDS.labels(str(kind)).observe(time.monotonic() - began)

    async def _job(self, tenant: str, kind: TrainingKind, keep_current: bool, report: Report) -> Release:
        started, folder = time.monotonic(), self._config.work / tenant
        self._runner.check(kind)
        await asyncio.to_thread(_clear, folder)
        steps = _threadsafe(report)
        learns = kind is not TrainingKind.TABLES
        card = await self._gather(tenant, folder / DATA, steps, with_vectors=learns)
        current = await self._current(tenant)
        if current is not None and learns:
            await self._unpack(tenant, current, folder / CURRENT)
        order = Order(
            kind=kind,
            neighbours=self._config.neighbours,
            least_purchases=self._config.least_purchases,
            behaviour_seconds=self._config.behaviour_seconds,
            threads=self._config.threads,
            learnt_until_s=int(current.data_end_time.timestamp()) if current is not None else 0,
        )
        await asyncio.to_thread(order.write, folder)
        await self._runner.run(folder, steps)
        report(Progress("saving the release"))
        result = await asyncio.to_thread(Result.read, folder)
        chunks = await asyncio.to_thread(read_artifacts, folder / OUTPUT)
        kept = () if learns or current is None else _models(current, chunks)
        parent = current.release_id if current is not None else ""
        release = _release(result, chunks, kept, parent=parent, kind=kind, data_card=card.to_json())
        await self._repository.save(tenant, release, chunks)
        if not keep_current and (release.gate is None or release.gate.passed):
            release = await self._repository.promote(tenant, release.release_id, "passed the gate")
            self._notifier.changed()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        seconds = round(time.monotonic() - started, 1)
        _log.info("release trained", release=release.release_id, kind=str(kind), seconds=seconds)
        return release

    async def _current(self, tenant: str) -> Release | None:
        try:
            return await self._repository.get(tenant, "")
        except ReleaseNotFound:
            return None

    async def _unpack(self, tenant: str, release: Release, folder: Path) -> None:
        """Writes a release's artifacts as files, for the job to compare with and to go on from."""
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        for artifact in release.artifacts:
            with (folder / artifact.name).open("wb") as file:
                async for part in self._repository.read_artifact(tenant, release.release_id, artifact.name):
                    await asyncio.to_thread(file.write, part)


def outcome_of(release: Release) -> str:
    """How a training ended, for the metrics: its release became current, broke its gate, or was only kept."""
    if release.current:
        return "promoted"
    return "kept" if release.gate is None or release.gate.passed else "gate refused"


def _threadsafe(report: Report) -> Steps:
    loop = asyncio.get_running_loop()

    named = ""

    def step(name: str, done: int, total: int) -> None:
        nonlocal named
        if name != named:
            named = name
            loop.call_soon_threadsafe(note, "step", {"name": name})
        loop.call_soon_threadsafe(report, Progress(name, done, total))

    return step


def _clear(folder: Path) -> None:
    """Takes away what an earlier job left, but for its checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (DATA, CURRENT, OUTPUT):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / RESULT).unlink(missing_ok=True)
    (folder / OUTPUT).mkdir()
    (folder / CHECKPOINTS).mkdir(exist_ok=True)


def _models(current: Release, chunks: Chunks) -> tuple[Artifact, ...]:
    """What a release of tables takes over from the current one: the models, which tables do not touch."""
    return tuple(one for one in current.artifacts if one.name not in chunks)


def _release(
    result: Result, chunks: Chunks, kept: tuple[Artifact, ...], *, parent: str, kind: TrainingKind, data_card: str
) -> Release:
    now = datetime.now(UTC)
    artifacts = (*(artifact_of(name, parts) for name, parts in chunks.items()), *kept)
    content_hash = content_hash_of(artifacts)
    return Release(
        release_id=f"r{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}-{content_hash[:HASH_LETTERS]}",
        create_time=now,
        current=False,
        data_end_time=datetime.fromtimestamp(result.data_end_time_s, UTC),
        purchase_count=result.purchase_count,
        user_count=result.user_count,
        product_count=result.product_count,
        pair_count=result.pair_count,
        parent_release_id=parent,
        kind=kind,
        content_hash=content_hash,
        artifacts=artifacts,
        metrics=result.metrics,
        gate=result.gate,
        data_card=data_card,
    )
