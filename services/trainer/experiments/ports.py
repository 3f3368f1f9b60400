"""What experiments need from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from services.trainer.experiments.domain import Experiment, State

Decide = Callable[[Experiment, Sequence[Experiment]], Experiment]
"""Makes of an experiment, and of those of its tenant that run, what it becomes; raises what speaks against it."""


class ExperimentRepository(Protocol):
    """Experiments of all tenants. All methods raise Unavailable; those whose end has come are stopped first."""

    async def insert(self, tenant: str, experiment: Experiment) -> None:
        """Stores a new one. Raises AlreadyExists."""

    async def get(self, tenant: str, experiment_id: str) -> Experiment:
        """Returns one. Raises ExperimentNotFound."""

    async def list_before(
        self, tenant: str, before: int, limit: int, state: State | None
    ) -> list[tuple[int, Experiment]]:
        """Returns experiments with their numbers, those below `before` (0: all), the latest first."""

    async def change(self, tenant: str, experiment_id: str, decide: Decide) -> Experiment:
        """Changes one while no other of the tenant changes. What `decide` raises goes through.

        Raises ExperimentNotFound, and ReleaseNotFound when it begins to run with a release that does not exist.
        """

    async def delete(self, tenant: str, experiment_id: str) -> None:
        """Deletes one that does not run. Raises ExperimentNotFound, WrongState."""

    async def running(self) -> list[tuple[str, Experiment]]:
        """Returns tenants and what runs there."""
