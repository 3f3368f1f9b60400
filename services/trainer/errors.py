"""Errors of the trainer."""

from __future__ import annotations

from shared.errors.base import FailedPrecondition, NotFound


class ReleaseNotFound(NotFound):
    """No release has this id, or none was trained yet (the id is empty then)."""

    def __init__(self, release_id: str) -> None:
        super().__init__("release", release_id)


class JobRunning(FailedPrecondition):
    """A training job of this tenant is running."""

    def __init__(self) -> None:
        super().__init__("a training job is already running; wait for its end")


class NothingToLearn(FailedPrecondition):
    """There are no purchases."""

    def __init__(self) -> None:
        super().__init__("there are no purchases to learn from; write user events first")
