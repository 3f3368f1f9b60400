"""Errors of the benchmark commands."""

from __future__ import annotations

from shared.errors.base import FailedPrecondition


class BadData(FailedPrecondition):
    """A benchmark's files are missing or not in its format; the message names file and rule."""

    def __init__(self, path: str, rule: str) -> None:
        super().__init__(f"{path}: {rule}", metadata={"path": path})


class BadChoice(FailedPrecondition):
    """An option has a value that does not exist or does not fit the others."""

    def __init__(self, field: str, value: str, rule: str) -> None:
        super().__init__(f"{field} {value!r}: {rule}", metadata={"field": field, "value": value})
