"""Between the contract and the domain. Pure functions; contract messages stop here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from google.type import money_pb2
from mercato.catalog.v1 import catalog_service_pb2 as pb
from mercato.errors.v1 import error_reason_pb2
from mercato.gateway.v1 import item_result_pb2, product_pb2, recommendation_service_pb2

from services.catalog.domain import (
    Availability,
    Content,
    Facts,
    NewProduct,
    Offer,
    OfferChange,
    Price,
    StoredProduct,
)
from shared.errors.base import Violation

DETAIL_FIELDS = ("description", "attributes")
OFFER_FIELDS = ("price", "availability", "stock_quantity", "offer_time")
TIME_FIELDS = ("publish_time", "create_time", "update_time")


def product_from_proto(message: product_pb2.Product, now: datetime) -> NewProduct:
    """Reads a valid product; without `offer_time` the offer is of now."""
    return NewProduct(
        content=content_from_proto(message),
        offer=offer_from_proto(message, now),
        publish_time=_time(message, "publish_time"),
        dated=message.HasField("offer_time"),
    )


def content_from_proto(message: product_pb2.Product) -> Content:
    """Cuts a product into what every answer shows and what only the full view shows."""
    basic, details = product_pb2.Product(), product_pb2.Product()
    basic.CopyFrom(message)
    for field in (*DETAIL_FIELDS, *OFFER_FIELDS, *TIME_FIELDS):
        basic.ClearField(field)  # type: ignore[arg-type]
    details.description = message.description
    details.attributes.extend(message.attributes)
    return Content(
        product_id=message.product_id,
        basic=basic.SerializeToString(deterministic=True),
        details=details.SerializeToString(deterministic=True),
        category_path=tuple(message.category_path),
        brand=message.brand,
    )


def offer_from_proto(message: product_pb2.Product, now: datetime) -> Offer:
    """Reads price and stock."""
    return Offer(
        price=_price(message),
        availability=Availability(message.availability or Availability.IN_STOCK),
        stock=message.stock_quantity if message.HasField("stock_quantity") else None,
        offer_time=_time(message, "offer_time") or now,
    )


def offer_change_from_proto(message: product_pb2.ProductOffer) -> OfferChange:
    """Reads a valid change of price and stock."""
    return OfferChange(
        product_id=message.product_id,
        price=_price(message),
        availability=Availability(message.availability) if message.availability else None,
        stock=message.stock_quantity if message.HasField("stock_quantity") else None,
        offer_time=message.offer_time.ToDatetime(UTC),
    )


def product_to_proto(stored: StoredProduct) -> product_pb2.Product:
    """Writes a product; without details when they were not read."""
    message = product_pb2.Product.FromString(stored.basic)
    if stored.details:
        message.MergeFromString(stored.details)
    offer = stored.offer
    if offer.price is not None:
        message.price.units = offer.price.units
        message.price.nanos = offer.price.nanos
        message.price.currency_code = offer.price.currency_code
    message.availability = product_pb2.Availability.ValueType(offer.availability)
    if offer.stock is not None:
        message.stock_quantity = offer.stock
    _set_time(message.offer_time, offer.offer_time)
    _set_time(message.publish_time, stored.publish_time)
    _set_time(message.create_time, stored.create_time)
    _set_time(message.update_time, stored.update_time)
    return message


def facts_to_proto(facts: Sequence[Facts]) -> pb.BatchGetFactsResponse:
    """Writes facts in columns."""
    return pb.BatchGetFactsResponse(
        product_ids=[item.product_id for item in facts],
        category_paths=[pb.CategoryPath(levels=item.category_path) for item in facts],
        brands=[item.brand for item in facts],
        price_micros=[item.price.micros if item.price else -1 for item in facts],
        currency_codes=[item.price.currency_code if item.price else "" for item in facts],
    )


def item_error(
    index: int, item_id: str, reason: error_reason_pb2.ErrorReason.ValueType, message: str
) -> item_result_pb2.ItemError:
    """An item that was not stored."""
    return item_result_pb2.ItemError(index=index, item_id=item_id, reason=reason, message=message)


def invalid_item(index: int, item_id: str, violations: Sequence[Violation]) -> item_result_pb2.ItemError:
    """An item that breaks rules of the contract."""
    return item_result_pb2.ItemError(
        index=index,
        item_id=item_id,
        reason=error_reason_pb2.ERROR_REASON_INVALID_REQUEST,
        message="; ".join(
            f"{item.field}: {item.description}" if item.field else item.description for item in violations
        ),
        violations=[
            item_result_pb2.FieldViolation(field=item.field, description=item.description, rule=item.rule)
            for item in violations
        ],
    )


def _price(message: product_pb2.Product | product_pb2.ProductOffer) -> Price | None:
    if not message.HasField("price"):
        return None
    price: money_pb2.Money = message.price
    return Price(price.units, price.nanos, price.currency_code)


def _time(message: product_pb2.Product, field: str) -> datetime | None:
    if not message.HasField(field):  # type: ignore[arg-type]
        return None
    stamp: Timestamp = getattr(message, field)
    return stamp.ToDatetime(UTC)


def _set_time(target: Timestamp, value: datetime) -> None:
    micros = round(value.timestamp() * 1_000_000)
    target.seconds, target.nanos = micros // 1_000_000, micros % 1_000_000 * 1000


def content_of(stored: StoredProduct) -> Content:
    """Makes content of a stored product again, for a write that changes the offer alone."""
    basic = product_pb2.Product.FromString(stored.basic)
    return Content(stored.product_id, stored.basic, stored.details, tuple(basic.category_path), basic.brand)


def similarities_to_proto(
    others: Sequence[str], similarities: Sequence[tuple[float, float]], model_release: str
) -> recommendation_service_pb2.CompareProductsResponse:
    """Writes how alike products are."""
    return recommendation_service_pb2.CompareProductsResponse(
        similarities=[
            recommendation_service_pb2.ProductSimilarity(product_id=product_id, cosine=cosine, pearson=pearson)
            for product_id, (cosine, pearson) in zip(others, similarities, strict=True)
        ],
        model_release=model_release,
    )
