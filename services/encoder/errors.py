"""What is particular to the encoder."""

from shared.errors.base import FailedPrecondition, Internal
from shared.errors.reasons import Reason


class ModelMismatch(FailedPrecondition):
    """Triton serves another model release than the one whose tokenizer this process holds: restart it."""

    def __init__(self, expected: str, served: str) -> None:
        super().__init__(
            f"Triton serves the model release {served!r}, the encoder was started for {expected!r}",
            reason=Reason.MODEL_MISMATCH,
            metadata={"model_release": expected, "served_release": served},
        )


class ModelRepositoryMissing(FailedPrecondition):
    """There is no readable text encoder in the model repository."""

    def __init__(self, place: str, cause: str) -> None:
        super().__init__(
            f"no text encoder at {place} ({cause}); "
            "write it with: python -m services.encoder.modelrepo --repository FOLDER",
            metadata={"place": place},
        )


class BrokenVectors(Internal):
    """The model answered with something that is not one finite vector a text."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the model answered with {what}")


class NoBehaviourModel(FailedPrecondition):
    """The release is not held, or it has no behaviour model."""

    def __init__(self, release_id: str, *, held: bool) -> None:
        state = "has no behaviour model" if held else "is not loaded"
        super().__init__(f"release {release_id!r} {state}", metadata={"release_id": release_id})
