"""What the ranking service needs from outside."""

from __future__ import annotations

from typing import Protocol

from services.ranking.domain import Statistics


class StatisticsSource(Protocol):
    """Where item statistics come from."""

    def of(self, tenant: str) -> Statistics | None:
        """The statistics of the tenant's current release; None when there is none. Never waits."""
