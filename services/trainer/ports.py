"""What the trainer needs from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from services.trainer.datasets.content import CatalogRow
from services.trainer.datasets.events import EventChunk, Report
from services.trainer.domain import Arm, Floats, Lineup, Release, Rollout, RolloutMode, TrainingKind
from services.trainer.learning.interactions import EventKind

Chunks = Mapping[str, Sequence[bytes]]
"""Artifacts by name, in parts."""


class EventSource(Protocol):
    """Where events come from."""

    def read(self, kinds: Iterable[EventKind] = EventKind, since_s: int = 0) -> AsyncIterator[EventChunk]:
        """Streams the current tenant's events at or after a moment, by time. Raises Unavailable."""


class CatalogSource(Protocol):
    """Where facts of products come from."""

    async def rows(self, product_ids: Sequence[str]) -> dict[str, CatalogRow]:
        """Returns what the catalogue says of the products that it knows. Raises Unavailable."""


class VectorSource(Protocol):
    """Where text vectors of products come from."""

    def read(self) -> AsyncIterator[tuple[Sequence[str], Floats]]:
        """Yields products and their unit vectors `[N, T]`. Raises Unavailable, NotFound (there is no index yet)."""


class JobRunner(Protocol):
    """Runs the training job as a process of its own."""

    def check(self, kind: TrainingKind) -> None:
        """Raises JobRefused when this installation cannot learn so."""

    async def run(self, folder: Path, report: Report) -> None:
        """Runs the job on a folder to its end and passes on its progress; cancelling ends the process.

        Raises JobRefused (what it was given cannot be learnt from), JobFailed.
        """


class ReleaseRepository(Protocol):
    """Releases, their artifacts and the pointer to the current one. All methods raise Unavailable."""

    def job_lock(self, tenant: str) -> AbstractAsyncContextManager[bool]:
        """Holds the tenant's job lock across processes inside the block; yields False when another has it."""

    async def save(self, tenant: str, release: Release, chunks: Chunks) -> None:
        """Stores a release and its artifacts in one transaction; it is not current yet.

        Artifacts that another release of the tenant holds already may be missing in `chunks`.
        """

    async def promote(self, tenant: str, release_id: str, cause: str) -> Release:
        """Makes a release current, ends a running rollout and deletes releases beyond the number kept.

        Raises ReleaseNotFound.
        """

    async def rollback(self, tenant: str, cause: str) -> Release:
        """Makes the release current that the present one replaced, and ends a running rollout. Raises NoWayBack."""

    async def get(self, tenant: str, release_id: str) -> Release:
        """Returns one release; an empty id is the current one. Raises ReleaseNotFound."""

    async def lineups(self) -> dict[str, Lineup]:
        """Returns what readers must hold, of every tenant that has a current release."""

    async def list_before(self, tenant: str, before: str, limit: int) -> list[Release]:
        """Returns releases older than `before` (empty: all), newest first."""

    def read_artifact(self, tenant: str, release_id: str, name: str) -> AsyncIterator[bytes]:
        """Yields an artifact in the parts in which it was saved. Raises ReleaseNotFound."""


class RolloutRepository(Protocol):
    """The latest rollout of each tenant. All methods raise Unavailable."""

    async def start(self, tenant: str, release_id: str, mode: RolloutMode, share: float) -> Rollout:
        """Begins one in place of the one before. Raises ReleaseNotFound, AlreadyCurrent."""

    async def stop(self, tenant: str, finding: str) -> Rollout:
        """Ends it. Raises NoRollout when none is running."""

    async def latest(self, tenant: str) -> Rollout:
        """Returns it. Raises NoRollout when there never was one."""

    async def running_canaries(self) -> list[str]:
        """Returns the tenants with a running canary."""

    async def note(self, tenant: str, rollout: Rollout) -> None:
        """Stores what was found of a rollout that still runs; one that began meanwhile is left alone."""


class OutcomeSource(Protocol):
    """Where it is counted what answers led to."""

    async def count(self, tenant: str, release_ids: Sequence[str], since_s: int) -> list[Arm]:
        """Counts people to whom lists were shown since a moment, and those who clicked and bought, by release.

        Raises Unavailable.
        """
