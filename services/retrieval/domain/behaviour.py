"""Product vectors of a release's behaviour model: those it learnt, and those made since for products new in the shop.

Legend: V vectors, D components.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class BehaviourVectors:
    """Grows while the release is held; what was there stays where it is."""

    def __init__(self, product_ids: Sequence[str], vectors: Floats) -> None:
        self._places = {product_id: place for place, product_id in enumerate(product_ids)}
        self._vectors = np.ascontiguousarray(vectors, np.float32)

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return int(self._vectors.shape[1])

    def place(self, product_id: str) -> int:
        """Where a product's vector stands; -1: it has none yet."""
        return self._places.get(product_id, -1)

    def add(self, product_ids: Sequence[str], vectors: Floats) -> None:
        """Adds vectors of products that have none; others are passed over."""
        fresh = [number for number, product_id in enumerate(product_ids) if product_id not in self._places]
        if not fresh:
            return
        first = len(self._vectors)
        self._vectors = np.concatenate([self._vectors, vectors[fresh].astype(np.float32)])
        for offset, number in enumerate(fresh):
            self._places[product_ids[number]] = first + offset

    def scores(self, user_vector: Floats) -> Floats:
        """Inner product of each vector with a person's `[V]`."""
        products: Floats = self._vectors @ user_vector
        return products
