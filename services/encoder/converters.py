"""Messages of the contract to the domain and back."""

from mercato.encoder.v1 import encoder_service_pb2 as pb

from services.encoder.domain import Encoded, ModelRelease, ProductText, Similarity


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


def _vectors(encoded: Encoded) -> list[pb.Vector]:
    return [pb.Vector(components=vector) for vector in encoded.vectors]
