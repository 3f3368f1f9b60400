"""How alike the words of two products are."""

from collections.abc import Sequence

from services.encoder.domain import ModelRelease, ProductText, Similarity, similarity
from services.encoder.encode_products import EncodeProducts


class CompareProducts:
    """Encodes all products of all pairs at once, then compares each pair."""

    def __init__(self, encode_products: EncodeProducts) -> None:
        self._encode_products = encode_products

    async def __call__(self, pairs: Sequence[tuple[ProductText, ProductText]]) -> tuple[list[Similarity], ModelRelease]:
        """One similarity a pair, in order, and the model it holds under. Raises what EncodeTexts raises."""
        encoded = await self._encode_products([product for pair in pairs for product in pair])
        vectors = encoded.vectors
        found = [similarity(vectors[index], vectors[index + 1]) for index in range(0, len(vectors), 2)]
        return found, encoded.release
