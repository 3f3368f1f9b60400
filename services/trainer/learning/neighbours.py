"""Item-to-item collaborative filtering: which products are bought by the people who buy a product.

Two linear models over the same people × items matrix X, whose entry is 2^(-age / half-life) of a person's latest
purchase of an item (time decay):

* EASE (Steck 2019, "Embarrassingly Shallow Autoencoders"): B = -P / diag(P) off the diagonal, P = (XᵀX + λI)⁻¹. It
  explains each item by all others at once, so an item that everybody buys is nobody's neighbour. Solved over people
  (the dual), or over items where they are fewer: P = (I - Xᵀ(XXᵀ + λI)⁻¹X) / λ. Cubic in the smaller side.
* Shrunk cosine, x_i·x_j / (|x_i||x_j| + shrink): the geometric mean of both lifts (Linden et al. 2003). Sparse and
  linear in co-purchases; used where both sides are too large for EASE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from services.trainer.domain import ItemNeighbours, Purchases
from services.trainer.learning.ease import dual_scores, item_weights

DAY_S = 86_400

Report = Callable[[int, int], None]
Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourConfig:
    """Constants chosen on the demo's validation weeks; see docs/quality.md."""

    neighbours: int = 50
    least_purchases: int = 2
    half_life_days: float = 112.0
    ridge: float = 200.0
    """λ of EASE."""
    shrink: float = 20.0
    """Of the cosine."""
    dense_side: int = 12_000
    """EASE is used while the smaller of people and items is at most this."""
    dense_cells: int = 400_000_000
    """And while people × items is at most this: 1.6 GB of 32-bit floats."""
    block: int = 512
    """Items worked on at once."""


def item_neighbours(purchases: Purchases, config: NeighbourConfig, report: Report) -> ItemNeighbours:
    """Computes the neighbours of all products; weights may be negative (EASE), the largest absolute ones are kept."""
    counts = np.bincount(purchases.products, minlength=len(purchases.product_ids))
    kept = np.flatnonzero(counts >= config.least_purchases)
    matrix = decayed_matrix(purchases, config.half_life_days)[:, kept].tocsr()
    rows = _ease(matrix, config) if uses_ease(matrix.shape, config) else _cosine(matrix, config)
    return _assemble(rows, kept, len(purchases.product_ids), config, report)


def uses_ease(shape: tuple[int, int], config: NeighbourConfig) -> bool:
    """Whether a people × items matrix is small enough for EASE."""
    people, items = shape
    return min(people, items) <= config.dense_side and people * items <= config.dense_cells


def decayed_matrix(purchases: Purchases, half_life_days: float) -> Any:
    """Sparse people × items: 2^(-age / half-life) of the latest purchase."""
    shape = (purchases.user_count, len(purchases.product_ids))
    keys = purchases.users.astype(np.int64) * shape[1] + purchases.products
    order = np.argsort(-purchases.times_s, kind="stable")
    pairs, first = np.unique(keys[order], return_index=True)
    ages = (purchases.end_time_s - purchases.times_s[order][first]) / DAY_S
    weights = (2.0 ** (-ages / half_life_days)).astype(np.float32)
    return sp.csr_matrix((weights, (pairs // shape[1], pairs % shape[1])), shape=shape)


def _ease(matrix: Any, config: NeighbourConfig) -> Iterator[tuple[int, Matrix]]:
    """Blocks of B: item weights for `block` source items at a time `[block, items]`."""
    people, items = matrix.shape
    if items <= people:
        weights = item_weights(matrix, config.ridge)
        for start in range(0, items, config.block):
            yield start, weights[start : start + config.block]
        return
    # Off the diagonal B = XᵀA / (λ diag(P)).
    scaled, transposed = dual_scores(matrix, config.ridge) / np.float32(config.ridge), matrix.T.tocsr()
    for start in range(0, items, config.block):
        yield start, np.asarray(transposed[start : start + config.block] @ scaled, dtype=np.float32)


def _cosine(matrix: Any, config: NeighbourConfig) -> Iterator[tuple[int, Matrix]]:
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel()).astype(np.float32)
    transposed = matrix.T.tocsr()
    for start in range(0, matrix.shape[1], config.block):
        products = np.asarray((transposed[start : start + config.block] @ matrix).todense(), dtype=np.float32)
        yield start, products / (norms[start : start + config.block, None] * norms[None, :] + config.shrink)


def _assemble(
    blocks: Iterator[tuple[int, Matrix]],
    kept: npt.NDArray[np.int64],
    count: int,
    config: NeighbourConfig,
    report: Report,
) -> ItemNeighbours:
    lengths = np.zeros(count, dtype=np.int64)
    columns: list[npt.NDArray[np.int32]] = []
    weights: list[Matrix] = []
    for start, block in blocks:
        rows = np.arange(len(block))
        block[rows, start + rows] = 0.0
        for row, (places, values) in enumerate(_strongest(block, config.neighbours)):
            lengths[kept[start + row]] = len(places)
            columns.append(kept[places].astype(np.int32))
            weights.append(values)
        report(start + len(block), len(kept))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    if not columns:
        return ItemNeighbours(offsets, np.empty(0, np.int32), np.empty(0, np.float32))
    return ItemNeighbours(offsets, np.concatenate(columns), np.concatenate(weights))


def _strongest(block: Matrix, count: int) -> Iterator[tuple[npt.NDArray[np.int64], Matrix]]:
    """The entries of each row that are largest in absolute value, positive ones first, strongest first."""
    width = min(count, block.shape[1])
    places = np.argpartition(-np.abs(block), width - 1, axis=1)[:, :width]
    values = np.take_along_axis(block, places, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    places, values = np.take_along_axis(places, order, axis=1), np.take_along_axis(values, order, axis=1)
    for row in range(len(block)):
        present = values[row] != 0.0
        yield places[row][present], values[row][present]
