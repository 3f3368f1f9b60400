"""A release's behaviour model: what a person did last becomes the person's vector.

Legend: L rows of the sequence, D components of a vector, T of a text vector, N products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.naming.category_path import parent_of
from shared.release.behaviour import BehaviourProducts
from shared.triton.graphs import Graph, Tensor

Vectors = NDArray[np.float32]

HOUR_S = 3600
LENGTH = 200
"""Rows that the models read at most; the latest count."""


@dataclass(frozen=True, slots=True)
class BehaviourModel:
    """One release's model."""

    release_id: str
    products: BehaviourProducts
    positions: dict[str, int]
    user_graph: Graph
    item_graph: Graph
    dimension: int
    text_dimension: int


@dataclass(frozen=True, slots=True)
class BehaviourRelease:
    """A release that is held; `model` None: it has no behaviour model."""

    release_id: str
    model: BehaviourModel | None


@dataclass(frozen=True, slots=True)
class BehaviourRows:
    """Rows that the model knows, oldest first: positions of products, kinds and ages in seconds `[L]`."""

    positions: NDArray[np.int64]
    kinds: NDArray[np.int64]
    ages_s: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ColdProduct:
    """What is known of a product in words and as text vector (empty: none)."""

    product_id: str
    category: str
    brand: str
    text_vector: Vectors


def user_graph(content: bytes, dimension: int) -> Graph:
    """The graph of the user encoder: sequence in, one vector out."""
    inputs = (
        Tensor("item_vectors", "FP32", (-1, -1, dimension)),
        Tensor("kinds", "INT64", (-1, -1)),
        Tensor("ages_s", "FP32", (-1, -1)),
    )
    return Graph("user_encoder", content, inputs, (Tensor("user_vectors", "FP32", (-1, dimension)),))


def item_graph(content: bytes, dimension: int, text_dimension: int) -> Graph:
    """The graph of the item encoder: text vector and names in, one vector a product out."""
    inputs = (
        Tensor("text_vectors", "FP32", (-1, text_dimension)),
        Tensor("categories", "INT64", (-1,)),
        Tensor("parents", "INT64", (-1,)),
        Tensor("brands", "INT64", (-1,)),
    )
    return Graph("item_encoder", content, inputs, (Tensor("item_vectors", "FP32", (-1, dimension)),))


def rows_of(
    model: BehaviourModel, product_ids: Sequence[str], kinds: Sequence[int], times_s: Sequence[int], now_s: int
) -> BehaviourRows:
    """The latest rows of products that the model knows, none after the moment: it is replayed as it was."""
    positions = np.fromiter((model.positions.get(one, -1) for one in product_ids), np.int64, len(product_ids))
    times = np.array(times_s, np.int64)
    kept = np.flatnonzero((positions >= 0) & (times <= now_s))
    kept = kept[np.argsort(times[kept], kind="stable")][-LENGTH:]
    ages = np.maximum(now_s - times[kept], 0).astype(np.float32)
    return BehaviourRows(positions[kept], np.array(kinds, np.int64)[kept], ages)


def user_inputs(model: BehaviourModel, rows: BehaviourRows) -> dict[str, NDArray[np.generic]]:
    """Inputs of the user encoder for one person `[1, L, …]`."""
    return {
        "item_vectors": model.products.vectors[rows.positions][None],
        "kinds": rows.kinds[None],
        "ages_s": rows.ages_s[None],
    }


def item_inputs(model: BehaviourModel, products: Sequence[ColdProduct]) -> dict[str, NDArray[np.generic]]:
    """Inputs of the item encoder `[N, …]`; a text vector of another size counts as none."""
    texts = np.zeros((len(products), model.text_dimension), np.float32)
    for row, product in enumerate(products):
        if len(product.text_vector) == model.text_dimension:
            texts[row] = product.text_vector
    names = model.products
    return {
        "text_vectors": texts,
        "categories": np.array([names.categories.get(one.category, 0) for one in products], np.int64),
        "parents": np.array([names.parents.get(parent_of(one.category), 0) for one in products], np.int64),
        "brands": np.array([names.brands.get(one.brand, 0) for one in products], np.int64),
    }
