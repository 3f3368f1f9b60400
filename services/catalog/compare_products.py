"""Compares products by the texts that are indexed."""

from __future__ import annotations

from collections.abc import Sequence

from services.catalog.errors import ProductNotFound
from services.catalog.ports import ProductEncoder, ProductRepository


class CompareProducts:
    """Reads the products as they are now and asks the encoder."""

    def __init__(self, products: ProductRepository, encoder: ProductEncoder) -> None:
        self._products = products
        self._encoder = encoder

    async def __call__(
        self, tenant: str, product_id: str, others: Sequence[str]
    ) -> tuple[list[tuple[float, float]], str]:
        """Cosine and Pearson correlation to each of `others`, and the model's release.

        Raises ProductNotFound, Unavailable.
        """
        wanted = list(dict.fromkeys([product_id, *others]))
        found = await self._products.read(tenant, wanted, basic=False)
        for one in wanted:
            if one not in found:
                raise ProductNotFound(one)
        return await self._encoder.compare(found[product_id], [found[other] for other in others])
