"""Errors of the behaviour model."""

from __future__ import annotations

from shared.errors.base import FailedPrecondition


class BrokenModel(FailedPrecondition):
    """Files of an earlier model cannot be taken over; names the file or tensor, and the rule."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"the earlier model cannot be continued: {name} {problem}")
