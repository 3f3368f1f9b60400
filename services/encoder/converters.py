"""Messages of the contract to the domain and back."""

from collections.abc import Sequence

import numpy as np
from mercato.encoder.v1 import encoder_service_pb2 as pb

from services.encoder.behaviour import ColdProduct
from services.encoder.domain import Encoded, ModelRelease, ProductText, Similarity
from shared.errors.base import InvalidArgument, Violation


def product_from_proto(message: pb.ProductText) -> ProductText:
    """The product id is not encoded, so it ends here."""
    return ProductText(
        title=message.title,
        brand=message.brand,
        category_path=tuple(message.category_path),
        attribute_texts=tuple(message.attribute_texts),
        description=message.description,
    )


def pair_from_proto(message: pb.ProductPair) -> tuple[ProductText, ProductText]:
    """Both products of a pair."""
    return product_from_proto(message.first), product_from_proto(message.second)


def texts_to_proto(encoded: Encoded) -> pb.EncodeTextsResponse:
    """Vectors go as the bytes they are kept in."""
    return pb.EncodeTextsResponse(
        vectors=_vectors(encoded), model_release=encoded.release.release_id, dimension=encoded.release.dimension
    )


def products_to_proto(encoded: Encoded) -> pb.EncodeProductsResponse:
    """As ``texts_to_proto``."""
    return pb.EncodeProductsResponse(
        vectors=_vectors(encoded), model_release=encoded.release.release_id, dimension=encoded.release.dimension
    )


def similarities_to_proto(similarities: list[Similarity], release: ModelRelease) -> pb.CompareProductsResponse:
    """In order of the pairs."""
    return pb.CompareProductsResponse(
        similarities=[pb.ProductSimilarity(cosine=one.cosine, pearson=one.pearson) for one in similarities],
        model_release=release.release_id,
    )


def model_to_proto(release: ModelRelease) -> pb.GetModelResponse:
    """Which model answers."""
    return pb.GetModelResponse(
        model_release=release.release_id,
        dimension=release.dimension,
        max_tokens=release.max_tokens,
        model_name=release.name,
    )


def rows_from_proto(message: pb.EncodeBehaviourRequest) -> tuple[Sequence[str], Sequence[int], Sequence[int]]:
    """Products, kinds and times of one length. Raises InvalidArgument."""
    count = len(message.product_ids)
    wrong = [name for name in ("event_types", "event_times_s") if len(getattr(message, name)) != count]
    if wrong:
        description = f"must be as long as product_ids, which has {count}"
        raise InvalidArgument([Violation(name, description, "encoder.columns") for name in wrong])
    return message.product_ids, message.event_types, message.event_times_s


def cold_product_from_proto(message: pb.BehaviourProduct, position: int) -> ColdProduct:
    """Raises InvalidArgument for a vector that is none."""
    if len(message.text_vector) % 4:
        description = f"must hold 32-bit floats, but has {len(message.text_vector)} bytes"
        raise InvalidArgument([Violation(f"products[{position}].text_vector", description, "encoder.text_vector")])
    vector = np.frombuffer(message.text_vector, "<f4").astype(np.float32)
    return ColdProduct(message.product_id, message.category, message.brand, vector)


def _vectors(encoded: Encoded) -> list[pb.Vector]:
    return [pb.Vector(components=vector) for vector in encoded.vectors]
