"""Errors of data sets."""

from __future__ import annotations

from pathlib import Path

from shared.errors.base import FailedPrecondition


class DataSetDamaged(FailedPrecondition):
    """A data set's folder is not as it was written."""

    def __init__(self, path: Path, finding: str) -> None:
        super().__init__(f"data set file {path} {finding}; build the data set again", metadata={"path": str(path)})


class DataLeak(FailedPrecondition):
    """What was to be predicted had influenced what it is predicted from."""

    def __init__(self, finding: str) -> None:
        super().__init__(f"data leak: {finding}")
