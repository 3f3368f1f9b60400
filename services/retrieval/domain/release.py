"""Lists learnt from events: neighbours and statistics of items, as a release brings them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ReleaseLists:
    """One release. Items are numbered; neighbours of item i are entries `offsets[i]` to `offsets[i + 1]`."""

    release_id: str
    numbers: dict[str, int]
    offsets: Longs
    neighbours: Ints
    weights: Floats
    popularities: Floats
    """Buyers' share, 0 for items without statistics."""
    trends: Floats
    """1 is steady."""

    def entries(self, items: Longs) -> tuple[Longs, Longs]:
        """All entries of some items: the position in `items`, and the entry."""
        starts, counts = self.offsets[items], self.offsets[items + 1] - self.offsets[items]
        owners = np.repeat(np.arange(len(items)), counts)
        within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        return owners, np.repeat(starts, counts) + within


@dataclass(frozen=True, slots=True)
class NeighbourScores:
    """By item: the weighted sum over seeds, and the position of the seed that gave most (-1: none)."""

    scores: Floats
    seeds: Ints


def score_neighbours(lists: ReleaseLists, seeds: list[tuple[int, str, float]]) -> NeighbourScores:
    """Sums seed weight x neighbour weight by item. `seeds`: position in the request, product, weight above 0."""
    known = [
        (lists.numbers[product], position, weight) for position, product, weight in seeds if product in lists.numbers
    ]
    size = len(lists.popularities)
    if not known:
        return NeighbourScores(np.zeros(size, np.float32), np.full(size, -1, np.int32))
    items = np.array([item for item, _, _ in known], np.int64)
    positions = np.array([position for _, position, _ in known], np.int32)
    seed_weights = np.array([weight for _, _, weight in known], np.float64)
    owners, entries = lists.entries(items)
    targets = lists.neighbours[entries]
    given = lists.weights[entries] * seed_weights[owners]
    scores = np.bincount(targets, given, minlength=size).astype(np.float32)
    most = np.zeros(size)
    np.maximum.at(most, targets, given)
    top = (given == most[targets]) & (given > 0)
    best = np.full(size, -1, np.int32)
    # Backwards, so that of equal seeds the first of the request stays.
    best[targets[top][::-1]] = positions[owners[top]][::-1]
    return NeighbourScores(scores, best)
