"""Candidates of many persons at once, as retrieval's channels bring them one person at a time.

Every channel but BUY_AGAIN brings products that are new to the person: those of both kinds of request, with and
without what was bought before. The channels are those of `services.retrieval.domain.candidates`.

Legend: U persons, P products, L leaf categories, C candidates of all persons, by person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from services.trainer.domain import Floats, Ints
from services.trainer.learning.interactions import ItemContent
from services.trainer.learning.pairs import DAY_S
from services.trainer.ranker.seeds import browse_seeds, content_seeds, keep_strongest, leaf_interests, purchase_seeds
from services.trainer.ranker.snapshot import Snapshot
from shared.features.columns import Channel, Doubles, Longs, Mask
from shared.features.content import closeness
from shared.naming.category_path import parent_of

Masks = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateConfig:
    """As the gateway asks retrieval."""

    channel: int = 60
    buy_again: int = 250
    categories: int = 10
    new_days: int = 30
    most_new: float = 0.5
    """When more than this share of products is new, the shop itself is, and none of them is news."""


@dataclass(frozen=True, slots=True)
class BehaviourVectors:
    """Vectors of the behaviour model as of a cut, by a model that learnt from nothing at or after it."""

    users: Floats
    """Of all users of the rows `[U, D]`."""
    products: Floats
    """`[P, D]`; zeros for a product that the model does not know."""


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates in columns `[C]`, by person and product."""

    persons: Longs
    """Position among the users asked about."""
    products: Longs
    channel_masks: Longs
    """Bit c is set where channel c brought the candidate."""
    neighbour_scores: Doubles
    content_scores: Doubles
    behaviour_scores: Doubles | None


class CandidateFinder:
    """Finds the candidates of users at the moment of a snapshot."""

    def __init__(
        self, snapshot: Snapshot, content: ItemContent, config: CandidateConfig, vectors: BehaviourVectors | None
    ) -> None:
        self._snapshot = snapshot
        self._content = content
        self._config = config
        self._vectors = vectors
        self._shelf = Shelf(snapshot, content, config)
        self._on_sale = on_sale(snapshot, content)
        everybody = np.arange(snapshot.rows.user_count, dtype=np.int32)
        self._purchased, self._browsed = purchase_seeds(snapshot, everybody), browse_seeds(snapshot, everybody)
        self._interests = leaf_interests(snapshot, everybody)
        table, count = snapshot.neighbours, len(snapshot.rows.product_ids)
        self._neighbours = sp.csr_matrix((table.weights, table.neighbours, table.offsets), shape=(count, count))

    def find(self, users: Ints) -> Found:
        """All channels for some users; dense `[U, P]` while it runs."""
        snapshot, config = self._snapshot, self._config
        purchased, browsed = self._purchased[users], self._browsed[users]
        seeds = (purchased + browsed).tocsr()
        neighbours = np.asarray((seeds @ self._neighbours).todense())
        bought = purchased.toarray() > 0.0
        allowed = ~bought & self._on_sale
        liked = content_seeds(purchased, browsed)
        cosines = _cosines(self._content, liked)
        behaviour = self._vectors.users[users] @ self._vectors.products.T if self._vectors is not None else None
        brought = {
            Channel.BUY_AGAIN: _entries(keep_strongest(seeds.multiply(bought).tocsr(), config.buy_again)),
            Channel.BOUGHT_TOGETHER: best(neighbours, allowed & (neighbours > 0.0), config.channel),
            Channel.POPULAR_IN_CATEGORY: by_interest(self._shelf, self._interests[users], allowed, config),
            **{channel: first(order, allowed, config.channel) for channel, order in self._shelf.orders.items()},
        }
        if cosines is not None:
            brought[Channel.SIMILAR_TO_RECENT] = best(cosines, allowed & cosines.any(axis=1)[:, None], config.channel)
        if behaviour is not None:
            brought[Channel.BEHAVIOUR] = best(behaviour, allowed & snapshot.met, config.channel)
        persons, products, masks = _merged(brought, len(snapshot.rows.product_ids))

        def of(scores: Floats | None) -> Doubles | None:
            return None if scores is None else scores[persons, products].astype(np.float64)

        return Found(
            persons=persons,
            products=products,
            channel_masks=masks,
            neighbour_scores=neighbours[persons, products].astype(np.float64),
            content_scores=_closeness(self._content, liked, persons, products),
            behaviour_scores=of(behaviour),
        )


class Shelf:
    """Orders of products that are the same for everybody."""

    def __init__(self, snapshot: Snapshot, content: ItemContent, config: CandidateConfig) -> None:
        popularity, times = snapshot.statistics.popularities, content.publish_times_s
        present = on_sale(snapshot, content)
        growth = np.maximum(snapshot.statistics.trends - 1.0, 0.0) * np.sqrt(popularity)
        unsold = np.flatnonzero((popularity <= 0.0) & present)
        self._popular = _descending(popularity)
        self.orders = {
            Channel.TRENDING: _descending(growth),
            Channel.NEW: _newest(times, popularity, present, config),
            Channel.POPULAR: np.concatenate([self._popular, unsold[np.argsort(-times[unsold], kind="stable")]]),
        }
        self.names: Sequence[str] = snapshot.categories.leaves
        leaves = snapshot.categories.leaf_indexes[self._popular]
        self._places = np.argsort(leaves, kind="stable")
        self._starts = np.searchsorted(leaves[self._places], np.arange(len(self.names) + 1))
        self._below = _leaves_below(self.names)

    def popular_in(self, leaf: int) -> Longs:
        """Best sellers of a leaf and of what lies below it."""
        parts = [self._places[self._starts[one] : self._starts[one + 1]] for one in self._below[leaf]]
        found: Longs = self._popular[np.sort(np.concatenate(parts))]
        return found


def on_sale(snapshot: Snapshot, content: ItemContent) -> Mask:
    """Products that the shop had at the moment `[P]`."""
    return snapshot.met | (content.publish_times_s <= snapshot.cut_s)


def best(scores: Floats, allowed: Masks, count: int) -> tuple[Longs, Longs]:
    """Row and column of the highest scores of each row, among those allowed."""
    count = min(count, scores.shape[1])
    kept = np.where(allowed, scores, -np.inf)
    columns = np.argpartition(-kept, count - 1, axis=1)[:, :count]
    rows = np.repeat(np.arange(len(scores)), count)
    found = np.isfinite(kept[rows, columns.ravel()])
    return rows[found], columns.ravel()[found]


def first(order: Longs, allowed: Masks, count: int) -> tuple[Longs, Longs]:
    """Row and column of the first `count` of an order that each row allows."""
    open_ = allowed[:, order]
    rows, places = np.nonzero(open_ & (np.cumsum(open_, axis=1, dtype=np.int32) <= count))
    return rows, order[places]


def by_interest(shelf: Shelf, interests: Any, allowed: Masks, config: CandidateConfig) -> tuple[Longs, Longs]:
    """Best sellers of each person's strongest leaves in equal parts; what one lacks, the stronger ones give."""
    rows, found, size = [], [], config.channel
    for row in range(interests.shape[0]):
        part = slice(interests.indptr[row], interests.indptr[row + 1])
        named = np.array([bool(shelf.names[leaf]) for leaf in interests.indices[part]], np.bool_)
        leaves, weights = interests.indices[part][named], interests.data[part][named]
        strongest = leaves[np.argsort(-weights, kind="stable")][: config.categories]
        if not len(strongest):
            continue
        lists = [order[allowed[row, order]] for order in map(shelf.popular_in, strongest.tolist())]
        share = -(-size // len(strongest))
        products = _distinct([*(one[:share] for one in lists), *(one[:size] for one in lists)])[:size]
        found.append(products)
        rows.append(np.full(len(products), row))
    empty = np.empty(0, np.int64)
    return np.concatenate([empty, *rows]), np.concatenate([empty, *found])


def _merged(brought: dict[Channel, tuple[Longs, Longs]], width: int) -> tuple[Longs, Longs, Longs]:
    keys = np.concatenate([rows * width + products for rows, products in brought.values()])
    bits = np.concatenate([np.full(len(rows), 1 << channel) for channel, (rows, _) in brought.items()])
    distinct, places = np.unique(keys, return_inverse=True)
    masks = np.zeros(len(distinct), np.int64)
    np.bitwise_or.at(masks, places, bits)
    return distinct // width, distinct % width, masks


def _cosines(content: ItemContent, seeds: Any) -> Floats | None:
    """Cosine of each product to the mean of each person's seeds `[U, P]`; 0 without seeds; None without vectors."""
    if not content.text_vectors.shape[1]:
        return None
    means = np.asarray(seeds @ content.text_vectors, dtype=np.float32)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    cosines: Floats = (means / np.maximum(lengths, 1e-12)) @ content.text_vectors.T
    return cosines


def _closeness(content: ItemContent, seeds: Any, persons: Longs, products: Longs) -> Doubles:
    """Of each candidate to the seeds of its person `[C]`; persons are in order. 0 without seeds or vectors."""
    found, vectors = np.zeros(len(persons)), content.text_vectors
    if not vectors.shape[1]:
        return found
    bounds = np.searchsorted(persons, np.arange(seeds.shape[0] + 1))
    for person, (start, end) in enumerate(pairwise(bounds.tolist())):
        own = slice(seeds.indptr[person], seeds.indptr[person + 1])
        mine = vectors[seeds.indices[own]]
        found[start:end] = closeness(vectors[products[start:end]], mine, seeds.data[own])
    return found


def _entries(matrix: Any) -> tuple[Longs, Longs]:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices.astype(np.int64)


def _descending(values: Floats) -> Longs:
    """Where values are above 0, highest first."""
    places = np.flatnonzero(values > 0.0)
    return places[np.argsort(-values[places], kind="stable")]


def _newest(times: Longs, popularity: Floats, present: Mask, config: CandidateConfig) -> Longs:
    """What the shop began to sell in the days before its newest, newest first."""
    dated = np.flatnonzero(present & (times > 0))
    if not len(dated):
        return dated
    new = dated[times[dated] > times[dated].max() - config.new_days * DAY_S]
    if len(new) > config.most_new * int(present.sum()):
        return np.empty(0, np.int64)
    ordered: Longs = new[np.lexsort((-popularity[new], -times[new]))]
    return ordered


def _leaves_below(names: Sequence[str]) -> list[list[int]]:
    """Of each leaf: itself, and the leaves whose paths begin with its own."""
    numbers = {name: leaf for leaf, name in enumerate(names)}
    below: list[list[int]] = [[] for _ in names]
    for leaf, name in enumerate(names):
        path = name
        while path:
            if path in numbers:
                below[numbers[path]].append(leaf)
            path = parent_of(path)
    return below


def _distinct(parts: Sequence[Longs]) -> Longs:
    products = np.concatenate(parts)
    distinct: Longs = products[np.sort(np.unique(products, return_index=True)[1])]
    return distinct
