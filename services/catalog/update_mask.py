"""Field masks over products (AIP-134)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mercato.gateway.v1 import product_pb2

from services.catalog.converters import OFFER_FIELDS, product_from_proto, product_to_proto
from services.catalog.domain import NewProduct, StoredProduct
from services.catalog.errors import InvalidUpdateMask
from services.catalog.update_product import Merge
from shared.errors.base import InvalidArgument
from shared.validation.validator import violations_of

READ_ONLY = frozenset({"product_id", "create_time", "update_time"})
_FIELDS = product_pb2.Product.DESCRIPTOR.fields_by_name


def merger(message: product_pb2.Product, paths: Sequence[str]) -> Merge:
    """Makes the merge for `UpdateProduct`. Raises InvalidUpdateMask for a path that is unknown, nested or read-only."""
    for path in paths:
        if path not in _FIELDS or path in READ_ONLY:
            raise InvalidUpdateMask(path)
    named = list(paths) or [field.name for field, _ in message.ListFields() if field.name not in READ_ONLY]

    def merge(stored: StoredProduct, now: datetime) -> tuple[NewProduct, bool]:
        merged = product_to_proto(stored)
        for name in named:
            merged.ClearField(name)  # type: ignore[arg-type]
        given = product_pb2.Product()
        given.CopyFrom(message)
        for field, _ in message.ListFields():
            if field.name not in named:
                given.ClearField(field.name)  # type: ignore[arg-type]
        merged.MergeFrom(given)
        names_offer = any(name in OFFER_FIELDS for name in named)
        if names_offer and not given.HasField("offer_time"):
            merged.ClearField("offer_time")  # the offer is of now
        violations = violations_of(merged, "product")
        if violations:
            raise InvalidArgument(violations)
        return product_from_proto(merged, now), names_offer

    return merge
