"""Vectors of products: their words composed into one text each."""

from collections.abc import Sequence

from services.encoder.domain import Encoded, ProductText, product_text
from services.encoder.encode_texts import EncodeTexts


class EncodeProducts:
    """Products with the same words share one vector, and the cache entry with an equal text."""

    def __init__(self, encode_texts: EncodeTexts) -> None:
        self._encode_texts = encode_texts

    async def __call__(self, products: Sequence[ProductText]) -> Encoded:
        """Raises what EncodeTexts raises."""
        return await self._encode_texts([product_text(product) for product in products])
