"""Between the contract and the domain. Pure functions; contract messages stop here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from google.type import money_pb2
from mercato.gateway.v1 import product_pb2
from mercato.gateway.v1 import recommendation_pb2 as public
from mercato.retrieval.v1 import candidates_pb2
from mercato.retrieval.v1 import retrieval_service_pb2 as pb

from services.retrieval.domain.candidates import DEFAULT_CHANNELS, Channel, FailedChannel, Seeds
from services.retrieval.domain.facets import Attribute, facets_of
from services.retrieval.domain.filter import AttributeCondition, ProductFilter
from services.retrieval.domain.product import IndexedProduct, Offer, Passage, Product, Vector
from services.retrieval.domain.table import chosen
from services.retrieval.errors import BadVector
from services.retrieval.find_candidates import CandidateRequest, FoundCandidates
from services.retrieval.passages import FusedPassage
from services.retrieval.search_products import FoundProduct
from shared.errors.base import InvalidArgument, Violation
from shared.naming.category_path import joined

DEFAULT_CHANNEL_SIZE, LARGEST_CHANNEL_SIZE = 200, 2_000
N = TypeVar("N", bound=np.generic)
_MICROS = 1_000_000
_NANOS_A_MICRO = 1_000


def limit_of(asked: int, default: int, largest: int) -> int:
    """0 is the default; more than the largest is the largest."""
    return min(asked or default, largest)


def vector_from_bytes(content: bytes, field: str) -> Vector | None:
    """Reads 32-bit floats, little endian; none when there are no bytes. Raises BadVector."""
    if len(content) % 4:
        raise BadVector(field, "must hold 32-bit floats, little endian")
    return np.frombuffer(content, "<f4").astype(np.float32) if content else None


def filter_from_proto(message: product_pb2.ProductFilter) -> ProductFilter:
    """Reads a valid filter."""
    return ProductFilter(
        categories=frozenset(message.categories),
        brands=frozenset(message.brands),
        low_micros=_micros(message.min_price, up=True) if message.HasField("min_price") else None,
        high_micros=_micros(message.max_price, up=False) if message.HasField("max_price") else None,
        include_unavailable=message.include_unavailable,
        attributes=tuple(_condition(item) for item in message.attributes),
        excluded=frozenset(message.excluded_product_ids),
    )


def product_from_proto(message: pb.IndexedProduct, position: int) -> IndexedProduct:
    """Reads a product. Raises BadVector."""
    product = Product(
        product_id=message.product_id,
        category_path=tuple(message.category_path),
        brand=message.brand,
        price_micros=message.price_micros,
        available=message.available,
        publish_time_s=message.publish_time_s,
        change_number=message.change_number,
        facets=facets_of(Attribute(a.name, tuple(a.texts), tuple(a.numbers)) for a in message.attributes),
    )
    return IndexedProduct(product, vector_from_bytes(message.vector, f"products[{position}].vector"), message.keywords)


def offer_from_proto(message: pb.IndexedOffer) -> Offer:
    """Reads an offer."""
    return Offer(message.product_id, message.price_micros, message.available, message.change_number)


def check_deletes(message: pb.DeleteProductsRequest) -> None:
    """Raises InvalidArgument for change numbers that do not fit the products."""
    count, found = len(message.product_ids), len(message.change_numbers)
    if found not in (0, count):
        description = f"has {found} entries, product_ids has {count}"
        raise InvalidArgument([Violation("change_numbers", description, "columns.equal_length")])


def passage_from_proto(message: pb.IndexedPassage, position: int) -> Passage:
    """Reads a passage. Raises BadVector."""
    vector = vector_from_bytes(message.vector, f"passages[{position}].vector")
    empty = np.empty(0, np.float32)
    return Passage(
        message.passage_id,
        message.document_id,
        message.revision,
        message.text,
        empty if vector is None else vector,
    )


def candidate_request_from_proto(message: pb.FindCandidatesRequest) -> CandidateRequest:
    """Reads a valid request. Raises InvalidArgument for channels that need a query and for columns too long."""
    size = limit_of(message.channel_size, DEFAULT_CHANNEL_SIZE, LARGEST_CHANNEL_SIZE)
    return CandidateRequest(
        seeds=seeds_from_proto(message.seeds),
        exclude_bought=message.exclude_bought,
        categories=message.categories,
        wanted=filter_from_proto(message.filter),
        excluded=message.excluded_product_ids,
        channels=_channels(message.channels),
        channel_size=size,
        buy_again_size=limit_of(message.buy_again_size, size, LARGEST_CHANNEL_SIZE),
        release_id=message.release_id,
        user_vector=_user_vector(message.user_vector),
    )


def _user_vector(content: bytes) -> Vector:
    """Reads a person's vector; of any length: one of another release scores nothing. Raises InvalidArgument."""
    if len(content) % 4:
        description = f"must hold 32-bit floats, but has {len(content)} bytes"
        raise InvalidArgument([Violation("user_vector", description, "retrieval.user_vector")])
    vector: Vector = np.frombuffer(content, "<f4").astype(np.float32)
    if not np.isfinite(vector).all():
        raise InvalidArgument([Violation("user_vector", "must hold finite numbers", "retrieval.user_vector")])
    return vector


def seeds_from_proto(message: candidates_pb2.Seeds) -> Seeds:
    """Reads columns; those that end early are filled up. Raises InvalidArgument for one that is too long."""
    count = len(message.product_ids)
    columns = {name: getattr(message, name) for name in ("weights", "content_weights", "bought")}
    too_long = [name for name, values in columns.items() if len(values) > count]
    if too_long:
        description = f"must not be longer than product_ids, which has {count}"
        raise InvalidArgument([Violation(f"seeds.{name}", description, "retrieval.seeds") for name in too_long])
    return Seeds(
        product_ids=tuple(message.product_ids),
        weights=_filled(columns["weights"], count, np.float64),
        content_weights=_filled(columns["content_weights"], count, np.float64),
        bought=_filled(columns["bought"], count, np.bool_),
    )


def candidates_to_proto(found: FoundCandidates) -> pb.FindCandidatesResponse:
    """Writes candidates in columns."""
    table, rows = found.table, found.candidates.rows
    paths, path_indexes = np.unique(table.path_numbers[rows], return_inverse=True)
    brands, brand_indexes = np.unique(table.brand_numbers[rows], return_inverse=True)
    columns = candidates_pb2.CandidateColumns(
        product_ids=chosen(table.ids, rows),
        channel_masks=found.candidates.masks.tolist(),
        neighbour_scores=found.neighbour_scores.tolist(),
        neighbour_seeds=found.neighbour_seeds.tolist(),
        content_scores=found.content_scores.tolist(),
        publish_times_s=table.publish_times[rows].tolist(),
        category_names=chosen(table.paths.joined, paths),
        category_indexes=path_indexes.tolist(),
        brand_names=chosen(table.brands.values, brands),
        brand_indexes=brand_indexes.tolist(),
        behaviour_scores=found.behaviour_scores.tolist(),
        prices=(np.maximum(table.prices[rows], 0) / 1e6).tolist(),
    )
    return pb.FindCandidatesResponse(
        candidates=columns, failed_channels=failed_to_proto(found.failed), release_id=found.release_id
    )


def found_to_proto(found: FoundProduct) -> pb.ScoredProduct:
    """Writes a product found."""
    product = found.product
    return pb.ScoredProduct(
        product_id=product.product_id,
        score=found.score,
        channels=[public.Channel.ValueType(channel) for channel in found.channels],
        dense_score=found.dense_score,
        keyword_score=found.keyword_score,
        neighbour_score=found.neighbour_score,
        category=joined(product.category_path),
        brand=product.brand,
        price_micros=product.price_micros,
    )


def passage_to_proto(found: FusedPassage) -> pb.ScoredPassage:
    """Writes a passage found."""
    return pb.ScoredPassage(
        passage_id=found.passage.passage_id,
        document_id=found.passage.document_id,
        revision=found.passage.revision,
        score=found.score,
        dense_score=found.dense_score,
        keyword_score=found.keyword_score,
    )


def failed_to_proto(failed: Iterable[FailedChannel]) -> list[pb.FailedChannel]:
    """Writes channels that failed."""
    return [pb.FailedChannel(channel=public.Channel.ValueType(one.channel), cause=one.cause) for one in failed]


def _channels(numbers: Sequence[int]) -> Sequence[Channel]:
    """Channels asked for, each once; the default ones when none is named."""
    wrong = [position for position, number in enumerate(numbers) if number not in DEFAULT_CHANNELS]
    if wrong:
        description = "must be a channel of recommendations; those of search need a query"
        raise InvalidArgument([Violation(f"channels[{at}]", description, "retrieval.channel") for at in wrong])
    return [Channel(number) for number in dict.fromkeys(numbers)] or DEFAULT_CHANNELS


def _filled(values: Sequence[Any], count: int, kind: type[N]) -> npt.NDArray[N]:
    """A column as an array of `count`; what is missing at its end is 0."""
    column = np.zeros(count, kind)
    column[: len(values)] = values
    return column


def _condition(message: product_pb2.AttributeFilter) -> AttributeCondition:
    return AttributeCondition(
        name=message.name,
        texts=frozenset(message.texts),
        low=message.min_number if message.HasField("min_number") else None,
        high=message.max_number if message.HasField("max_number") else None,
    )


def _micros(money: money_pb2.Money, *, up: bool) -> int:
    """Millionths; the limit of a range is rounded into it."""
    whole, rest = divmod(int(money.nanos), _NANOS_A_MICRO)
    return int(money.units) * _MICROS + whole + (1 if up and rest else 0)
