"""The vocabulary of a model and what its products' content is, in numbers that stay when a vocabulary grows.

Legend: P products, T components of a text vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.trainer.domain import Floats, Longs
from services.trainer.learning.interactions import ItemContent
from shared.naming.category_path import parent_of

UNKNOWN = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Names behind the numbers. Position 0 of categories, parents and brands is the unknown one."""

    product_ids: tuple[str, ...]
    categories: tuple[str, ...] = (UNKNOWN,)
    parents: tuple[str, ...] = (UNKNOWN,)
    brands: tuple[str, ...] = (UNKNOWN,)

    def grown(self, product_ids: Sequence[str], content: ItemContent | None) -> Vocabulary:
        """With new names appended; numbers of old ones stay."""
        names: tuple[Sequence[str], ...] = ((), (), ())
        if content is not None:
            names = (content.categories.leaves, _parent_names(content), content.brand_names)
        return Vocabulary(
            product_ids=_appended(self.product_ids, product_ids),
            categories=_appended(self.categories, names[0]),
            parents=_appended(self.parents, names[1]),
            brands=_appended(self.brands, names[2]),
        )

    @classmethod
    def of(cls, product_ids: Sequence[str], content: ItemContent | None) -> Vocabulary:
        """A first one."""
        return cls(product_ids=()).grown(product_ids, content)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFeatures:
    """Content of the vocabulary's products `[P]`."""

    text_vectors: Floats
    categories: Longs
    parents: Longs
    brands: Longs
    known: npt.NDArray[np.bool_]
    """Products that somebody acted on: the others stand on their content alone."""
    sizes: tuple[int, int, int, int]
    """T, and the numbers of categories, parents and brands."""

    def __len__(self) -> int:
        return len(self.known)

    @property
    def informative(self) -> bool:
        """Whether anything is known beside the products' ids."""
        return self.sizes[0] > 0 or max(self.sizes[1:]) > 1

    @classmethod
    def of(
        cls, vocabulary: Vocabulary, product_ids: Sequence[str], content: ItemContent | None, acted_on: Longs
    ) -> ItemFeatures:
        """`content` is by the numbers of `product_ids`, `acted_on` and the result by those of the vocabulary."""
        count = len(vocabulary.product_ids)
        rows = positions(vocabulary.product_ids, product_ids)
        known = np.zeros(count, np.bool_)
        known[acted_on] = True
        columns = [np.zeros(count, np.int64) for _ in range(3)]
        text = np.zeros((count, 0), np.float32)
        if content is not None:
            leaves = content.categories.leaf_indexes
            named = (
                positions(vocabulary.categories, content.categories.leaves)[leaves],
                positions(vocabulary.parents, _parent_names(content))[leaves],
                positions(vocabulary.brands, content.brand_names)[content.brands],
            )
            for column, numbers in zip(columns, named, strict=True):
                column[rows] = numbers
            text = np.zeros((count, content.text_vectors.shape[1]), np.float32)
            text[rows] = content.text_vectors
        return cls(
            text_vectors=text,
            categories=columns[0],
            parents=columns[1],
            brands=columns[2],
            known=known,
            sizes=(text.shape[1], len(vocabulary.categories), len(vocabulary.parents), len(vocabulary.brands)),
        )


def positions(names: Sequence[str], wanted: Sequence[str]) -> Longs:
    """Position in `names` of each name."""
    index = {name: number for number, name in enumerate(names)}
    return np.array([index[name] for name in wanted], np.int64)


def _parent_names(content: ItemContent) -> list[str]:
    """The parent of each leaf by name: the numbers of `Categories.parents` differ from data set to data set."""
    return [parent_of(leaf) for leaf in content.categories.leaves]


def _appended(names: tuple[str, ...], more: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*names, *more)))
