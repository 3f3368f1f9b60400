"""Lists learnt from events: neighbours and statistics of items, as a release brings them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.behaviour import BehaviourVectors

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


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
    behaviour: BehaviourVectors | None = None
    """None: the release has no behaviour model."""

    def entries(self, items: Longs) -> tuple[Longs, Longs]:
        """All entries of some items: the position in `items`, and the entry."""
        starts, counts = self.offsets[items], self.offsets[items + 1] - self.offsets[items]
        owners = np.repeat(np.arange(len(items)), counts)
        within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        return owners, np.repeat(starts, counts) + within


@dataclass(frozen=True, slots=True)
class NeighbourScores:
    """What seeds say of items."""

    scores: Doubles
    """By item: the sum over seeds of seed weight x neighbour weight."""
    _targets: Ints
    _given: Doubles
    _positions: Longs

    def strongest_seeds(self, items: npt.NDArray[np.integer[Any]]) -> Ints:
        """The seed that gave most to each of these items, as its position; of equals the first; -1: none."""
        size = len(self.scores)
        wanted = np.zeros(size, np.bool_)
        wanted[items[items >= 0]] = True
        # Backwards and then by what was given, so that the last one written is the largest and of equals the first.
        entries = np.flatnonzero(wanted[self._targets] & (self._given > 0))[::-1]
        entries = entries[np.argsort(self._given[entries], kind="stable")]
        best = np.full(size + 1, -1, np.int32)
        best[self._targets[entries]] = self._positions[entries]
        found: Ints = best[items]  # the last place, -1, stays empty
        return found


def score_neighbours(lists: ReleaseLists, product_ids: Sequence[str], weights: Doubles) -> NeighbourScores:
    """Sums seed weight x neighbour weight by item. Seeds with weight 0 or below and unknown ones count for nothing."""
    items = np.fromiter((lists.numbers.get(one, -1) for one in product_ids), np.int64, len(product_ids))
    positions = np.flatnonzero((items >= 0) & (weights > 0))
    owners, entries = lists.entries(items[positions])
    targets = lists.neighbours[entries]
    given = lists.weights[entries] * weights[positions][owners]
    scores = np.bincount(targets, given, minlength=len(lists.popularities)).astype(np.float64)
    return NeighbourScores(scores, targets, given, positions[owners])
