"""Errors of the ranker."""

from __future__ import annotations

from shared.errors.base import FailedPrecondition


class NothingToRank(FailedPrecondition):
    """There is nothing to learn an order from; the message says what is missing."""

    def __init__(self, missing: str) -> None:
        super().__init__(f"the ranker has nothing to learn from: {missing}")
