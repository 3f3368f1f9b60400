"""What the ranking service needs from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shared.features.columns import Doubles, Statistics
from shared.triton.graphs import Graph

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LearnedRanker:
    """A release's ranker: which features it reads, and how its probabilities make one score.

    Legend: F features, K tasks.
    """

    graph: Graph
    features: tuple[str, ...]
    baseline: Matrix
    """What a feature is set to when it is taken away `[F]`."""
    groups: Mapping[str, tuple[int, ...]]
    """Columns of the features that are taken away together."""
    weights: Doubles
    """Of each task in the score `[K]`."""
    purchase: int = 0
    """The task that is a purchase."""
    foretells_amounts: bool = False
    """Whether the graph's second output is what is spent on a purchase `[C, 1]`."""

    def weights_for(self, revenue_weight: float) -> Doubles:
        """Of each task `[K]`: an order by expected revenue counts purchases alone."""
        alone = np.zeros(len(self.weights))
        alone[self.purchase] = 1.0
        return (1.0 - revenue_weight) * self.weights + revenue_weight * alone


@dataclass(frozen=True, slots=True)
class RankingRelease:
    """One release as ranking holds it; `ranker` None: it has none."""

    statistics: Statistics
    ranker: LearnedRanker | None = None


class RankingReleases(Protocol):
    """The trainer's releases as they are held. No method waits."""

    def of(self, tenant: str, release_id: str = "") -> RankingRelease | None:
        """Returns a release, the current one for an empty id; None: it is not held."""

    def held(self, tenant: str) -> list[str]:
        """Returns the ids of all that are held."""


class RankerRunner(Protocol):
    """Runs learned rankers."""

    async def run(self, graph: Graph, inputs: Mapping[str, Matrix]) -> list[Matrix]:
        """Returns the outputs in the graph's order. Raises Unavailable (dependency `triton`), Internal."""
