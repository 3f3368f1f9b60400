"""Errors of recommenders."""

from __future__ import annotations

from shared.errors.base import FailedPrecondition


class InsufficientData(FailedPrecondition):
    """A recommender has nothing to learn from; the message says what is missing."""

    def __init__(self, model: str, missing: str) -> None:
        super().__init__(f"{model} has nothing to learn from: {missing}", metadata={"model": model, "missing": missing})

    def __reduce__(self) -> tuple[type[InsufficientData], tuple[str, str]]:
        """Crosses processes: models are measured in one of their own."""
        return InsufficientData, (self.metadata["model"], self.metadata["missing"])
