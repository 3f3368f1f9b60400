"""Vectors of products: what is learned of the product itself plus what its content says.

Legend: N products asked for, P products of the vocabulary, T components of a text vector, D components of a vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from services.trainer.behaviour.dropout import Dropout, random_bytes
from services.trainer.behaviour.features import ItemFeatures

INITIAL_DEVIATION = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemEncoderConfig:
    """What a product's vector is the sum of, beside its own embedding."""

    id_dropout: float = 0.2
    """Share of products a step that stand on their content alone, so that it learns to; unused without content."""
    text_dropout: float = 0.2
    """On the components of text vectors."""
    unit_norm: bool = False
    """Vectors of length 1: products compete by direction alone, not by how popular they are."""


class ContentEncoder(nn.Module):
    """The vector that content alone gives; exported for products nobody has bought."""

    def __init__(self, config: ItemEncoderConfig, sizes: tuple[int, int, int, int], dimension: int) -> None:
        """`sizes`: T, numbers of categories, parents and brands, each with 0 for unknown."""
        super().__init__()
        text, categories, parents, brands = sizes
        self.text = nn.Linear(text, dimension, bias=False) if text else None
        if self.text is not None:
            nn.init.orthogonal_(self.text.weight)  # products of like text are alike from the start
        self.text_dropout = Dropout(config.text_dropout)
        self.categories = _table(categories, dimension)
        self.parents = _table(parents, dimension)
        self.brands = _table(brands, dimension)

    def forward(self, text_NT: Tensor, categories_N: Tensor, parents_N: Tensor, brands_N: Tensor) -> Tensor:
        vectors_ND = self.categories(categories_N) + self.parents(parents_N) + self.brands(brands_N)
        if self.text is not None:
            vectors_ND = vectors_ND + self.text(self.text_dropout(text_NT))
        output: Tensor = vectors_ND
        return output


class ItemEncoder(nn.Module):
    """Embedding of the product plus, where there is any, the vector of its content."""

    known: Tensor

    def __init__(self, config: ItemEncoderConfig, features: ItemFeatures, dimension: int) -> None:
        super().__init__()
        self.config = config
        self.sizes = features.sizes
        self.ids = nn.Embedding(len(features), dimension)
        nn.init.normal_(self.ids.weight, std=INITIAL_DEVIATION)
        self.content = ContentEncoder(config, features.sizes, dimension) if features.informative else None
        for name in ("text_vectors", "categories", "parents", "brands", "known"):
            self.register_buffer(
                name, torch.from_numpy(np.ascontiguousarray(getattr(features, name))), persistent=False
            )

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.ids.weight.device

    def forward(self, products_N: Tensor) -> Tensor:
        """int64 [N] to float32 [N, D]. A product nobody has bought has no embedding of its own."""
        vectors_ND: Tensor = self.ids(products_N)
        if self.content is None:
            return self.scaled(vectors_ND)
        with_id_N = self.known[products_N]
        if self.training and self.config.id_dropout:
            dropped = round(256 * self.config.id_dropout)
            with_id_N = with_id_N & (random_bytes(len(products_N)).to(self.device) >= dropped)
        columns = (getattr(self, name)[products_N] for name in ("text_vectors", "categories", "parents", "brands"))
        return self.scaled(vectors_ND * with_id_N.unsqueeze(1) + self.content(*columns))

    def clear_content_component(self, component: int) -> None:
        """Sets what content gives to a component to 0, without gradients."""
        if self.content is None:
            return
        for table in (self.content.categories, self.content.parents, self.content.brands):
            table.weight[:, component] = 0.0
        if self.content.text is not None:
            self.content.text.weight[component] = 0.0

    def scaled(self, vectors_ND: Tensor) -> Tensor:
        """As the configuration asks."""
        return functional.normalize(vectors_ND, dim=1) if self.config.unit_norm else vectors_ND


def _table(count: int, dimension: int) -> nn.Embedding:
    table = nn.Embedding(count, dimension)
    nn.init.normal_(table.weight, std=INITIAL_DEVIATION)
    return table
