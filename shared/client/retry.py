"""Budgeted retries: a few while failures are rare, none while everything fails."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass


class RetryBudget:
    """A bucket of tokens: a retry takes one, a success gives ``refill`` back.

    With the default refill retries add at most a tenth to the calls of a peer that is failing, so they cannot
    turn an overload into an outage.
    """

    def __init__(self, *, tokens: float = 10.0, refill: float = 0.1) -> None:
        self._most = tokens
        self._tokens = tokens
        self._refill = refill

    def take(self) -> bool:
        """Whether a retry may be made; takes its token."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def succeeded(self) -> None:
        """Gives back a part of a token."""
        self._tokens = min(self._most, self._tokens + self._refill)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Which calls are repeated and when."""

    methods: Collection[str] | None = None
    """Bare names (``GetProduct``) of the idempotent unary methods; ``None`` means all unary methods."""
    attempts: int = 3
    """Attempts in total."""
    first_pause_seconds: float = 0.03
    """Mean pause before the first retry; doubles for each further one."""

    def attempts_for(self, method: str) -> int:
        """How often ``/package.Service/Method`` may be tried."""
        name = method.rpartition("/")[2]
        return self.attempts if self.methods is None or name in self.methods else 1

    def pause_seconds(self, retry: int) -> float:
        """Pause before retry number ``retry`` (0 is the first), spread so that clients do not come together."""
        return float(self.first_pause_seconds * 2**retry * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, hides nothing
