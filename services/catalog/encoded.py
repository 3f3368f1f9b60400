"""Products on their way to the index."""

from __future__ import annotations

from collections.abc import Sequence

from services.catalog.domain import StoredProduct
from services.catalog.ports import IndexedItem, Systems


async def write_encoded(systems: Systems, products: Sequence[StoredProduct], index: str = "") -> None:
    """Encodes products and writes them to the index named, or to all. Raises what encoder and index raise."""
    if not products:
        return
    vectors, model_release = await systems.encoder.encode(products)
    items = [IndexedItem(product, vector) for product, vector in zip(products, vectors, strict=True)]
    await systems.index.upsert(items, model_release, index)
