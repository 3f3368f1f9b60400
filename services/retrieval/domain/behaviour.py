"""Product vectors of a release's behaviour model: those it learnt, and those made since for products new in the shop.

Legend: V vectors, D components, N rows asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.growing import GrowingArray
from shared.errors.base import MercatoError

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int32]
_NUMBER_BYTES = 4


@dataclass(frozen=True, slots=True)
class BehaviourIndex:
    """The vectors of one release outside this process."""

    tenant: str
    release_id: str
    dimension: int


class BehaviourVectors:
    """Grows while the release is held; what was there stays where it is.

    Vectors are written to the index in the order of their places. Once all are there memory may let go of them, and
    says only which products have one.
    """

    def __init__(self, product_ids: Sequence[str], vectors: Floats) -> None:
        self._ids = list(product_ids)
        self._places = {product_id: place for place, product_id in enumerate(self._ids)}
        self._rows: GrowingArray[np.float32] | None = GrowingArray(np.float32, vectors.shape[1])
        self._rows.extend(vectors)
        self.dimension = int(vectors.shape[1])
        self.learnt = len(self._ids)
        """Vectors that the release itself brought; they stand first."""
        self.stored = 0
        """Vectors, from the first on, that the index holds."""
        self.doubtful = True
        """Whether the index must be asked what it holds."""

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def held(self) -> Floats | None:
        """All vectors `[V, D]` by place; None: memory has let go of them."""
        return self._rows.values if self._rows is not None else None

    @property
    def held_bytes(self) -> int:
        """Memory that the vectors take."""
        return len(self._ids) * self.dimension * _NUMBER_BYTES if self._rows is not None else 0

    @property
    def searchable(self) -> bool:
        """Whether the index holds all that the release brought, as far as is known."""
        return not self.doubtful and 0 < self.learnt <= self.stored

    def place(self, product_id: str) -> int:
        """Where a product's vector stands; -1: it has none yet."""
        return self._places.get(product_id, -1)

    def add(self, product_ids: Sequence[str], vectors: Floats) -> None:
        """Adds vectors of products that have none; others are passed over.

        Where memory has let go of the vectors, the index must hold these already.
        """
        fresh = [number for number, product_id in enumerate(product_ids) if product_id not in self._places]
        for number in fresh:
            self._places[product_ids[number]] = len(self._ids)
            self._ids.append(product_ids[number])
        if self._rows is not None:
            self._rows.extend(vectors[fresh].astype(np.float32))
        else:
            self.stored = len(self._ids)

    def unwritten(self, count: int) -> tuple[list[str], Floats]:
        """The next vectors to write to the index, at most `count`. Only while they are held."""
        if self._rows is None:
            raise LookupError("the vectors are not held in memory")
        part = slice(self.stored, self.stored + count)
        return self._ids[part], self._rows.values[part]

    def let_go(self) -> None:
        """Frees the memory of the vectors, all of which the index holds."""
        if self.stored < len(self._ids):
            raise LookupError("the index does not hold all vectors")
        self._rows = None

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Notes that the index failed inside the block."""
        try:
            yield
        except MercatoError:
            self.doubtful = True
            raise


def inner_products(vectors: Floats, user_vector: Floats, places: Places) -> Floats:
    """Inner products of a person's vector with those at `places` `[N]`; 0 at place -1."""
    if len(places) * 2 > len(vectors):  # gathering rows costs more than comparing those not asked for
        every: Floats = np.append(vectors @ user_vector, np.float32(0.0))[places]
        return every
    scores: Floats = np.where(places >= 0, vectors[places] @ user_vector, np.float32(0.0))
    return scores
