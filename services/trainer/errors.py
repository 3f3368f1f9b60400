"""Errors of the trainer."""

from __future__ import annotations

from shared.errors.base import FailedPrecondition, Internal, InvalidArgument, NotFound, Unavailable, Violation
from shared.errors.reasons import Reason


class ReleaseNotFound(NotFound):
    """No release has this id, or none was trained yet (the id is empty then)."""

    def __init__(self, release_id: str) -> None:
        super().__init__("release", release_id)


class ArtifactDamaged(Unavailable):
    """What is stored is not what the release names; readers stay with the release that they hold."""

    def __init__(self, release_id: str, name: str) -> None:
        detail = f"artifact {name} of release {release_id} is damaged"
        super().__init__("postgres", metadata={"detail": detail, "release_id": release_id, "artifact": name})


class JobRunning(FailedPrecondition):
    """A training job of this tenant is running."""

    def __init__(self) -> None:
        super().__init__("a training job is already running; wait for its end")


class NothingToLearn(FailedPrecondition):
    """There are no purchases."""

    def __init__(self) -> None:
        super().__init__("there are no purchases to learn from; write user events first")


class NoWayBack(FailedPrecondition):
    """There is no release to go back to."""

    def __init__(self, release_id: str) -> None:
        super().__init__(
            f"there is no release to go back to from {release_id!r}: none was current before, or it was deleted",
            metadata={"release_id": release_id},
        )


class AlreadyCurrent(FailedPrecondition):
    """What is current cannot be tried beside itself."""

    def __init__(self, release_id: str) -> None:
        super().__init__(f"release {release_id!r} is the current one", metadata={"release_id": release_id})


class NoRollout(FailedPrecondition):
    """There is no rollout."""

    def __init__(self) -> None:
        super().__init__("there is no rollout; start one first")


class JobRefused(FailedPrecondition):
    """The job cannot learn from what it was given, or this installation cannot run it."""


class JobFailed(Internal):
    """The training process ended without a release; its log says why."""

    def __init__(self, status: int, log: str) -> None:
        super().__init__(f"the training process ended with status {status}; see {log}")


class ExperimentNotFound(NotFound):
    """No experiment has this id."""

    def __init__(self, experiment_id: str) -> None:
        super().__init__("experiment", experiment_id)


class WrongState(FailedPrecondition):
    """The experiment does not stand as the call needs it."""

    def __init__(self, experiment_id: str, state: str, needed: str) -> None:
        super().__init__(
            f"experiment {experiment_id!r} is {state}; the call needs it to be {needed}",
            metadata={"experiment_id": experiment_id, "state": state},
        )


class CannotStart(FailedPrecondition):
    """The experiment would not be alone with what it changes, or asks for too much."""

    def __init__(self, experiment_id: str, cause: str) -> None:
        super().__init__(
            f"experiment {experiment_id!r} cannot start: {cause}",
            metadata={"experiment_id": experiment_id, "cause": cause},
        )


class InvalidUpdateMask(InvalidArgument):
    """A path is unknown or read-only."""

    def __init__(self, path: str) -> None:
        super().__init__(
            [Violation("update_mask", f"names {path!r}, which is unknown or read-only", "update_mask.path")],
            reason=Reason.INVALID_UPDATE_MASK,
            metadata={"path": path},
        )


class DataSetInUse(FailedPrecondition):
    """A training reads the tenant's data set now; it is removed when the training ends."""

    def __init__(self) -> None:
        super().__init__("a training is using the data set; ask again when it is done")
