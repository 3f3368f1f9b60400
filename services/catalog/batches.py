"""Batches of the contract: items checked one by one, answers with an error for each that was not stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mercato.catalog.v1 import catalog_service_pb2 as pb
from mercato.errors.v1 import error_reason_pb2
from mercato.gateway.v1 import item_result_pb2, product_pb2

from services.catalog import converters
from services.catalog.domain import NewProduct, OfferChange, StoredProduct, WriteOutcome
from services.catalog.update_offers import OfferOutcome
from shared.validation.validator import violations_of_item

Errors = list[item_result_pb2.ItemError]


def split_products(messages: Sequence[product_pb2.Product], now: datetime) -> tuple[list[NewProduct], Errors]:
    """The valid products, and an error for each of the others."""
    products: list[NewProduct] = []
    rejected: Errors = []
    for index, message in enumerate(messages):
        violations = violations_of_item(message)
        if violations:
            rejected.append(converters.invalid_item(index, message.product_id, violations))
        else:
            products.append(converters.product_from_proto(message, now))
    return products, rejected


def import_response(number: int, outcomes: Sequence[WriteOutcome], rejected: Errors) -> pb.ImportProductsResponse:
    """Acknowledges a batch."""
    return pb.ImportProductsResponse(
        batch_index=number,
        created_count=outcomes.count(WriteOutcome.CREATED),
        updated_count=outcomes.count(WriteOutcome.UPDATED),
        unchanged_count=outcomes.count(WriteOutcome.UNCHANGED),
        rejected=rejected,
    )


@dataclass(frozen=True, slots=True)
class SplitOffers:
    """Valid offers with their places in the request, and errors of the others."""

    changes: list[OfferChange]
    places: list[int]
    rejected: Errors


def split_offers(messages: Sequence[product_pb2.ProductOffer]) -> SplitOffers:
    """Checks offers one by one."""
    split = SplitOffers([], [], [])
    for index, message in enumerate(messages):
        violations = violations_of_item(message)
        if violations:
            split.rejected.append(converters.invalid_item(index, message.product_id, violations))
        else:
            split.changes.append(converters.offer_change_from_proto(message))
            split.places.append(index)
    return split


def offers_response(split: SplitOffers, outcomes: Sequence[OfferOutcome]) -> pb.UpdateOffersResponse:
    """Says what became of the offers; errors are in the order of the request."""
    rejected = list(split.rejected)
    for change, place, outcome in zip(split.changes, split.places, outcomes, strict=True):
        if outcome is OfferOutcome.STALE:
            reason, message = error_reason_pb2.ERROR_REASON_STALE_UPDATE, "a newer offer is stored"
        elif outcome is OfferOutcome.NOT_FOUND:
            reason, message = error_reason_pb2.ERROR_REASON_PRODUCT_NOT_FOUND, "no product has this id"
        else:
            continue
        rejected.append(converters.item_error(place, change.product_id, reason, message))
    rejected.sort(key=lambda error: error.index)
    return pb.UpdateOffersResponse(
        updated_count=sum(outcome is OfferOutcome.STORED for outcome in outcomes), rejected=rejected
    )


def with_view(stored: StoredProduct, *, basic: bool) -> product_pb2.Product:
    """Writes a product with or without details."""
    message = converters.product_to_proto(stored)
    if basic:
        message.ClearField("description")
        message.ClearField("attributes")
    return message
