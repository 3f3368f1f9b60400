"""Parts of a data set as named columns, and their hash.

The hash is of the values themselves, not of the file: it is the same whatever library wrote the file, and the same
for the same data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from services.trainer.datasets.impressions import PER_ROW, Impressions
from services.trainer.domain import Categories, Floats
from services.trainer.learning.interactions import Interactions, ItemContent

Column = npt.NDArray[Any] | tuple[str, ...] | tuple[bytes, ...]
Columns = Mapping[str, Column]

INTERACTION_TYPES: Mapping[str, npt.DTypeLike] = {
    "users": np.int32, "products": np.int32, "kinds": np.int8, "times_s": np.int64, "events": np.int64,
    "amount_micros": np.int64,
}  # fmt: skip
CONTENT_TYPES: Mapping[str, npt.DTypeLike] = {
    "categories": np.int32, "brands": np.int32, "prices": np.float32, "publish_times_s": np.int64,
}  # fmt: skip
IMPRESSION_TYPES: Mapping[str, npt.DTypeLike] = {
    **dict.fromkeys(PER_ROW, np.int32), **dict.fromkeys(("times_s", "revenue_micros"), np.int64), "devices": np.int8,
    **dict.fromkeys(("shown", "clicked", "carted", "purchased"), np.bool_),
}  # fmt: skip


def digest(columns: Columns) -> str:
    """SHA-256 over names, types, lengths and values, in the order of the names."""
    state = hashlib.sha256()
    for name in sorted(columns):
        column = columns[name]
        if isinstance(column, np.ndarray):
            values = np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<"))
            state.update(f"{name}:{values.dtype.str}:{values.shape};".encode())
            state.update(values.data if values.size else b"")
        else:
            state.update(f"{name}:list:{len(column)};".encode())
            for value in column:
                raw = value if isinstance(value, bytes) else value.encode()
                state.update(len(raw).to_bytes(4, "little") + raw)
    return state.hexdigest()


def interaction_columns(rows: Interactions) -> Columns:
    """One value a row; products and users stand in parts of their own. Amounts only where there are any."""
    columns = {name: getattr(rows, name) for name in INTERACTION_TYPES}
    return {name: column for name, column in columns.items() if column is not None}


def impression_columns(rows: Impressions) -> Columns:
    """One value a row."""
    return {name: getattr(rows, name) for name in PER_ROW}


def product_columns(product_ids: tuple[str, ...], content: ItemContent | None) -> Columns:
    """One value a product; only the ids where nothing else is known."""
    if content is None:
        return {"product_ids": product_ids}
    return {
        "product_ids": product_ids,
        "categories": content.categories.leaf_indexes,
        "brands": content.brands,
        "prices": content.prices,
        "publish_times_s": content.publish_times_s,
    }


def content_of(columns: Mapping[str, npt.NDArray[Any]], names: Mapping[str, Any], text_vectors: Floats) -> ItemContent:
    """The content of columns by product, the names of its categories and brands, and text vectors."""
    parents = np.array(names["category_parents"], dtype=np.int32)
    return ItemContent(
        categories=Categories(columns["categories"], tuple(names["categories"]), parents),
        brands=columns["brands"],
        brand_names=tuple(names["brands"]),
        prices=columns["prices"],
        publish_times_s=columns["publish_times_s"],
        text_vectors=text_vectors,
    )
