"""Popular products and neighbours of a release, kept in memory for when other services are down."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mercato.trainer.v1 import trainer_service_pb2 as pb

from shared.naming.category_path import SEPARATOR
from shared.release.behaviour import USER_ENCODER
from shared.release.reader import ReleaseReader

POPULAR, POPULAR_IN, NEIGHBOURS = 500, 100, 20


@dataclass(frozen=True, slots=True)
class ReleaseLists:
    """Popular products, best first; the strongest neighbours of each product with their weights."""

    release_id: str = ""
    popular: tuple[str, ...] = ()
    neighbours: Mapping[str, tuple[tuple[str, float], ...]] = field(default_factory=dict)
    popular_in: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Popular products of each category, best first."""
    encodes_behaviour: bool = False
    """Whether the release has a behaviour model."""

    def bought_together(self, seeds: Iterable[tuple[str, float]]) -> list[str]:
        """Neighbours of weighted products, strongest first, without the products themselves."""
        scores: dict[str, float] = {}
        given = dict(seeds)
        for product_id, weight in given.items():
            for neighbour, strength in self.neighbours.get(product_id, ()):
                if neighbour not in given:
                    scores[neighbour] = scores.get(neighbour, 0.0) + weight * strength
        return sorted(scores, key=lambda product_id: (-scores[product_id], product_id))


async def read_lists(reader: ReleaseReader) -> ReleaseLists:
    """Reads a release. Raises Unavailable, DeadlineExceeded, NotFound."""
    statistics, neighbours = await reader.statistics(), await reader.neighbours()
    return await asyncio.to_thread(_lists, reader.release_id, statistics, neighbours, reader.has(USER_ENCODER))


def _lists(
    release_id: str,
    statistics: Iterable[pb.ReadItemStatisticsResponse],
    neighbours: Iterable[pb.ReadItemNeighboursResponse],
    encodes_behaviour: bool,
) -> ReleaseLists:
    found: list[tuple[int, str, int]] = []
    leaves: list[str] = []
    for part in statistics:
        leaves = leaves or list(part.leaves)
        found += zip([-buyers for buyers in part.buyers_56d], part.product_ids, part.leaf_indexes, strict=True)
    found.sort()
    return ReleaseLists(
        release_id=release_id,
        popular=tuple(product_id for _, product_id, _ in found[:POPULAR]),
        neighbours=_neighbours(neighbours),
        popular_in=_popular_in(found, leaves),
        encodes_behaviour=encodes_behaviour,
    )


def _popular_in(found: Sequence[tuple[int, str, int]], leaves: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Of products from the most popular on, with their leaf categories: the first ones of every category."""
    paths = [tuple(dict.fromkeys(filter(None, leaf.split(SEPARATOR)))) for leaf in leaves]
    parts: dict[str, list[str]] = {}
    for _, product_id, leaf in found:
        for category in paths[leaf]:
            part = parts.setdefault(category, [])
            if len(part) < POPULAR_IN:
                part.append(product_id)
    return {category: tuple(part) for category, part in parts.items()}


def _neighbours(parts: Iterable[pb.ReadItemNeighboursResponse]) -> dict[str, tuple[tuple[str, float], ...]]:
    found: dict[str, tuple[tuple[str, float], ...]] = {}
    names: list[str] = []
    for part in parts:
        names = names or list(part.dictionary)
        neighbours, weights, start = list(part.neighbours), list(part.weights), 0
        for product_id, count in zip(part.product_ids, part.counts, strict=True):
            rows = range(start, start + min(count, NEIGHBOURS))
            found[product_id] = tuple((names[neighbours[row]], weights[row]) for row in rows if weights[row] > 0.0)
            start += count
    return found
