"""Examples to learn an order from: candidates of a past moment with their features, and what people did after it.

Legend: U persons, P products, N examples, F features, K tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from services.trainer.datasets.impressions import Impressions
from services.trainer.datasets.leaks import LeakConfig, check_features, check_split
from services.trainer.datasets.splits import Window, sample_users, temporal_split
from services.trainer.domain import Floats, Ints, Longs
from services.trainer.learning.interactions import EventKind, Interactions, ItemContent
from services.trainer.learning.neighbours import NeighbourConfig
from services.trainer.learning.pairs import DAY_S
from services.trainer.ranker.candidates import BehaviourVectors, CandidateConfig, CandidateFinder
from services.trainer.ranker.errors import NothingToRank
from services.trainer.ranker.joining import columns_of
from services.trainer.ranker.snapshot import Snapshot
from shared.features.columns import Mask
from shared.features.registry import FEATURES, matrix

Labels = npt.NDArray[np.int8]

UNKNOWN = -1
PERSONS_AT_ONCE = 256
"""Bounds the memory that features take while they are computed."""

Behaviour = Callable[[int], BehaviourVectors | None]
"""Vectors as of a cut, by a model that was fitted on rows before it; None: there is no such model."""


class Task(IntEnum):
    """What a person may do with a product; the column of its label."""

    PURCHASE = 0
    CLICK = 1
    CART = 2


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What becomes an example."""

    features: tuple[str, ...] = tuple(FEATURES)
    horizon_days: float = 28.0
    persons: int = 3000
    """Drawn at most for each cut."""
    candidates: CandidateConfig = field(default_factory=CandidateConfig)
    neighbours: NeighbourConfig = field(default_factory=NeighbourConfig)
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RankerData:
    """Examples `[N]` of one cut or several; those of a person at a cut stand together."""

    names: tuple[str, ...]
    features: Floats
    """`[N, F]`"""
    persons: Longs
    """Number of the person at a cut, ascending from 0."""
    products: Ints
    labels: Labels
    """1, 0 or UNKNOWN, by task `[N, K]`."""
    positions: Ints
    """Where in an answer the product was shown after the cut; UNKNOWN: not that anybody knows."""
    amounts: Floats
    """Paid for the product within the horizon, units of the shop's currency `[N]`; NaN: not bought, or not known."""
    users: Ints
    """Number of the user in the rows, by person `[U]`."""
    wanted: Longs
    """Products that the person bought after the cut, candidates or not `[U]`."""
    wanted_new: Longs
    """Of these, the ones not bought before `[U]`."""

    def __len__(self) -> int:
        return len(self.persons)

    @property
    def known(self) -> Mask:
        """Whether the person had bought the product before `[N]`."""
        return self.features[:, self.names.index("known")] > 0.5

    def of_persons(self, chosen: Mask) -> RankerData:
        """The examples of some persons `[U]`, who are numbered again."""
        kept = chosen[self.persons]
        numbers = np.cumsum(chosen) - 1
        return replace(
            self.where(kept),
            persons=numbers[self.persons[kept]],
            users=self.users[chosen],
            wanted=self.wanted[chosen],
            wanted_new=self.wanted_new[chosen],
        )

    def with_features(self, columns: Sequence[int]) -> RankerData:
        """The same examples with some of their features."""
        kept = list(columns)
        names = tuple(self.names[column] for column in kept)
        return replace(self, names=names, features=np.ascontiguousarray(self.features[:, kept]))

    def where(self, kept: Mask) -> RankerData:
        """Some of the examples, all of the persons."""
        columns = ("features", "persons", "products", "labels", "positions", "amounts")
        return replace(self, **{name: getattr(self, name)[kept] for name in columns})


def ranker_data(
    rows: Interactions,
    content: ItemContent,
    cut_s: int,
    config: DataConfig,
    impressions: Impressions | None = None,
    behaviour: Behaviour | None = None,
) -> RankerData:
    """Features from rows before `cut_s`, labels from the horizon that begins there.

    Raises NothingToRank when nothing was bought before the cut, DataLeak when rows were known that come after it.
    """
    snapshot = Snapshot.at(rows, content.categories, cut_s, config.neighbours)
    users = sample_users(snapshot.rows.of_kind(EventKind.PURCHASE), config.persons, config.seed)
    vectors = behaviour(cut_s) if behaviour is not None else None
    products, persons, features = _examples(snapshot, content, users, config, vectors)
    end_s = cut_s + round(config.horizon_days * DAY_S)
    split = temporal_split(rows, Window(cut_s, end_s))
    later = split.test.of_kind(EventKind.PURCHASE)
    check_split(snapshot.rows, later)
    keys = np.repeat(users.astype(np.int64), np.bincount(persons, minlength=len(users))) * len(rows.product_ids)
    keys += products
    wanted = np.unique(_keys(later))
    labels = np.full((len(keys), len(Task)), UNKNOWN, np.int8)
    labels[:, Task.PURCHASE] = np.isin(keys, wanted)
    positions = np.full(len(keys), UNKNOWN, np.int32)
    if impressions is not None:
        _label_shown(labels, positions, keys, impressions.complete().between(cut_s, end_s), len(rows.product_ids))
    new = wanted[~np.isin(wanted, _keys(snapshot.rows.of_kind(EventKind.PURCHASE)))]
    return RankerData(
        names=config.features,
        features=features,
        persons=persons,
        products=products.astype(np.int32),
        labels=labels,
        positions=positions,
        amounts=_paid(later, keys),
        users=users,
        wanted=_per_user(wanted, rows)[users],
        wanted_new=_per_user(new, rows)[users],
    )


def joined(parts: Sequence[RankerData]) -> RankerData:
    """Examples of several cuts; a user of two cuts is two persons. Raises NothingToRank without any."""
    if not parts:
        raise NothingToRank("no cut has rows before and after it")
    starts = np.cumsum([0] + [len(part.users) for part in parts])
    arrays = ("features", "products", "labels", "positions", "amounts", "users", "wanted", "wanted_new")
    return replace(
        parts[0],
        persons=np.concatenate([part.persons + start for part, start in zip(parts, starts[:-1], strict=True)]),
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays},
    )


def check_no_leak(rows: Interactions, content: ItemContent, cut_s: int, config: DataConfig, leaks: LeakConfig) -> None:
    """Raises DataLeak when rows at or after the cut change what is known of a sample of users.

    What is compared are the sums of a user's candidates by feature, so that a candidate more would show too.
    """

    def sums(known: Interactions, users: Ints, moment_s: int) -> Floats:
        snapshot = Snapshot.at(known, content.categories, moment_s, config.neighbours)
        _, persons, features = _examples(snapshot, content, users, config, None)
        starts = np.searchsorted(persons, np.arange(len(users)))
        return np.add.reduceat(features.astype(np.float64), starts, axis=0).astype(np.float32)

    check_features(sums, rows, cut_s, config.features, leaks)


def _examples(
    snapshot: Snapshot, content: ItemContent, users: Ints, config: DataConfig, vectors: BehaviourVectors | None
) -> tuple[Longs, Longs, Floats]:
    """Products, persons and features of all candidates."""
    finder = CandidateFinder(snapshot, content, config.candidates, vectors)
    products, persons, features = [], [], []
    for start in range(0, len(users), PERSONS_AT_ONCE):
        block = users[start : start + PERSONS_AT_ONCE]
        found = finder.find(block)
        products.append(found.products)
        persons.append(found.persons + start)
        features.append(matrix(columns_of(snapshot, content, block, found), config.features))
    return np.concatenate(products), np.concatenate(persons), np.concatenate(features)


def _label_shown(labels: Labels, positions: Ints, keys: Longs, shown: Impressions, count: int) -> None:
    """Clicks, carts and positions of what was shown; the rest stays UNKNOWN."""
    shown_keys = shown.users.astype(np.int64) * count + shown.products
    order = np.lexsort((shown.positions, shown_keys))
    pairs, first = np.unique(shown_keys[order], return_index=True)
    places = np.minimum(np.searchsorted(pairs, keys), max(len(pairs) - 1, 0))
    met = pairs[places] == keys if len(pairs) else np.zeros(len(keys), np.bool_)
    positions[met] = shown.positions[order][first][places[met]]
    for task, flags in ((Task.CLICK, shown.clicked), (Task.CART, shown.carted)):
        labels[met, task] = np.isin(keys[met], shown_keys[flags])


def _paid(bought: Interactions, keys: Longs) -> Floats:
    """What was paid for each pair of user and product in all; NaN where a part of it is not known."""
    if bought.amount_micros is None or not len(bought):
        return np.full(len(keys), np.nan, np.float32)
    pairs, rows = np.unique(_keys(bought), return_inverse=True)
    paid = np.bincount(rows, np.where(bought.amount_micros < 0, np.nan, bought.amount_micros / 1e6))
    places = np.minimum(np.searchsorted(pairs, keys), len(pairs) - 1)
    return np.where(pairs[places] == keys, paid[places], np.nan).astype(np.float32)


def _keys(rows: Interactions) -> Longs:
    return rows.users.astype(np.int64) * len(rows.product_ids) + rows.products


def _per_user(pairs: Longs, rows: Interactions) -> Longs:
    return np.bincount(pairs // len(rows.product_ids), minlength=rows.user_count).astype(np.int64)
