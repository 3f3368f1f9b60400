"""Errors of the catalogue."""

from __future__ import annotations

from shared.errors.base import Aborted, FailedPrecondition, InvalidArgument, NotFound, Violation
from shared.errors.reasons import Reason


class ProductNotFound(NotFound):
    """No product has this id."""

    def __init__(self, product_id: str) -> None:
        super().__init__("product", product_id)


class StaleOffer(Aborted):
    """A newer offer is stored."""

    def __init__(self, product_id: str) -> None:
        super().__init__(f"a newer offer of product {product_id!r} is stored", metadata={"product_id": product_id})


class InvalidUpdateMask(InvalidArgument):
    """The mask names a field that does not exist or cannot be changed."""

    def __init__(self, path: str) -> None:
        violation = Violation("update_mask", f"{path!r} cannot be updated", "update_mask.path")
        super().__init__([violation], reason=Reason.INVALID_UPDATE_MASK, metadata={"path": path})


class RebuildRunning(FailedPrecondition):
    """The tenant's index is being rebuilt."""

    def __init__(self) -> None:
        super().__init__("the index is already being rebuilt; wait for its end")
