"""Errors of retrieval."""

from __future__ import annotations

from shared.errors.base import FailedPrecondition, InvalidArgument, NotFound, Violation
from shared.errors.reasons import Reason


class IndexNotFound(NotFound):
    """No index has this name, or none is there yet (the name is empty then)."""

    def __init__(self, name: str) -> None:
        super().__init__("index", name)


class ProductNotFound(NotFound):
    """The product is not in the active index."""

    def __init__(self, product_id: str) -> None:
        super().__init__("product", product_id)


class ModelMismatch(FailedPrecondition):
    """Vectors of one model release met an index of another."""

    def __init__(self, model_release: str, index_release: str) -> None:
        super().__init__(
            f"the vectors were made by model release {model_release!r}, the index holds those of {index_release!r}",
            reason=Reason.MODEL_MISMATCH,
            metadata={"model_release": model_release, "index_release": index_release},
        )


class BadVector(InvalidArgument):
    """A vector has the wrong length or holds numbers that are not finite."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__([Violation(field, description, "retrieval.vector")])


class NoKeywords(FailedPrecondition):
    """The server behind the index cannot search by words (BM25)."""

    def __init__(self) -> None:
        super().__init__("the vector database has no keyword search (BM25)")
