"""What is known of products, gathered from catalogue rows and text vectors.

Legend: P products, T components of a text vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.trainer.domain import Floats
from services.trainer.learning.categories import number_categories
from services.trainer.learning.interactions import ItemContent


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogRow:
    """What the catalogue says of a product today."""

    category_path: tuple[str, ...] = ()
    """Root first."""
    brand: str = ""
    price: float = 0.0
    """Units of the shop's currency; 0: unknown."""
    publish_time_s: int = 0
    """When the shop began to sell it; 0: unknown."""


def item_content(
    product_ids: Sequence[str], rows: Mapping[str, CatalogRow], text_vectors: Floats | None = None
) -> ItemContent:
    """Content of `product_ids` in their order; those without a row are unknown in every respect.

    `text_vectors` `[P, T]` is made to unit length; rows of zeros (no text) stay zeros. The empty brand is number 0.
    Raises ValueError when it has another number of rows than there are products, or holds what is no number.
    """
    unknown = CatalogRow()
    found = [rows.get(product_id, unknown) for product_id in product_ids]
    brand_names = ("", *sorted({row.brand for row in found} - {""}))
    brands = {name: number for number, name in enumerate(brand_names)}
    return ItemContent(
        categories=number_categories(product_ids, {name: row.category_path for name, row in rows.items()}),
        brands=np.array([brands[row.brand] for row in found], dtype=np.int32),
        brand_names=brand_names,
        prices=np.array([row.price for row in found], dtype=np.float32),
        publish_times_s=np.array([row.publish_time_s for row in found], dtype=np.int64),
        text_vectors=_unit_vectors(text_vectors, len(product_ids)),
    )


def _unit_vectors(vectors_PT: Floats | None, count: int) -> Floats:
    if vectors_PT is None:
        return np.zeros((count, 0), dtype=np.float32)
    if vectors_PT.ndim != 2 or len(vectors_PT) != count:
        raise ValueError(
            f"text_vectors has the shape {vectors_PT.shape}; it must have one row for each of {count} products"
        )
    if not np.isfinite(vectors_PT).all():
        raise ValueError("text_vectors holds values that are not finite")
    norms_P1 = np.linalg.norm(vectors_PT, axis=1, keepdims=True)
    return np.divide(vectors_PT, norms_P1, out=np.zeros_like(vectors_PT, dtype=np.float32), where=norms_P1 > 0.0)
