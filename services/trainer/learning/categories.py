"""Numbers the categories of products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from services.trainer.domain import Categories
from shared.naming.category_path import joined


def number_categories(product_ids: Sequence[str], paths: Mapping[str, tuple[str, ...]]) -> Categories:
    """The leaf of a product is its whole path; a leaf's parent is the path without its last level.

    Products without a path share the leaf with the empty name.
    """
    leaves: dict[tuple[str, ...], int] = {}
    parents: dict[tuple[str, ...], int] = {}
    indexes = [leaves.setdefault(paths.get(product_id, ()), len(leaves)) for product_id in product_ids]
    return Categories(
        np.array(indexes, dtype=np.int32),
        tuple(joined(path) for path in leaves),
        np.array([parents.setdefault(path[:-1], len(parents)) for path in leaves], dtype=np.int32),
    )
