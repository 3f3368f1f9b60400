"""Moves the pointer to the current release."""

from __future__ import annotations

from services.trainer.domain import Release
from services.trainer.ports import ReleaseRepository
from services.trainer.watch import ReleaseNotifier


class PromoteRelease:
    """Makes a release current."""

    def __init__(self, repository: ReleaseRepository, notifier: ReleaseNotifier) -> None:
        self._repository = repository
        self._notifier = notifier

    async def __call__(self, tenant: str, release_id: str) -> Release:
        """Promotes. Raises ReleaseNotFound, Unavailable."""
        release = await self._repository.promote(tenant, release_id, "promoted")
        self._notifier.changed()
        return release

    async def back(self, tenant: str) -> Release:
        """Goes back to the release that the current one replaced. Raises NoWayBack, Unavailable."""
        release = await self._repository.rollback(tenant, "rolled back")
        self._notifier.changed()
        return release
