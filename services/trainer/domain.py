"""Releases and their tables. No input or output."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


DRIFT = "population stability"
"""Name of the metric by which a release says how far what it learnt from has moved since its parent did."""


class TrainingKind(StrEnum):
    """How a release is learnt."""

    TABLES = "tables"
    """Item statistics and neighbours; models are those of the current release."""
    FULL = "full"
    """Tables, behaviour model and ranker from the beginning."""
    INCREMENTAL = "incremental"
    """As FULL, the behaviour model going on from the current release."""


class RolloutMode(StrEnum):
    """How a release is tried."""

    SHADOW = "shadow"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One part of a release, addressed by its content."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Metric:
    """One measure of one model on one slice, with its 95 % interval."""

    name: str
    slice: str
    model: str
    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a release may become current, and each check for people."""

    passed: bool
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What one training run learnt. It never changes; only the pointer to the current one moves."""

    release_id: str
    create_time: datetime
    current: bool
    data_end_time: datetime
    purchase_count: int
    user_count: int
    product_count: int
    pair_count: int
    parent_release_id: str = ""
    kind: TrainingKind = TrainingKind.TABLES
    content_hash: str = ""
    artifacts: tuple[Artifact, ...] = ()
    metrics: tuple[Metric, ...] = ()
    gate: Gate | None = None
    """None: it was not measured."""
    data_card: str = ""
    """JSON."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What one release of a rollout led to, in people: to whom it was shown, and those who clicked or bought."""

    release_id: str
    shown: int
    clicked: int
    purchased: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A release on trial."""

    release_id: str
    baseline_release_id: str
    mode: RolloutMode
    share: float
    start_time: datetime
    running: bool
    finding: str = ""
    arms: tuple[Arm, ...] = ()
    difference_low: float = -1.0
    difference_high: float = 1.0


@dataclass(frozen=True, slots=True)
class Lineup:
    """The releases of a tenant that readers must hold."""

    current: Release
    previous: Release | None = None
    trial: Release | None = None
    rollout: Rollout | None = None
    """Running; None when none is."""
    in_experiments: tuple[Release, ...] = ()
    """Those that variants of running experiments answer with."""

    @property
    def key(self) -> tuple[object, ...]:
        """Changes when readers must be told."""
        ids = tuple(one.release_id if one else "" for one in (self.current, self.previous, self.trial))
        tried = tuple(one.release_id for one in self.in_experiments)
        return (*ids, tried, self.rollout and (self.rollout.mode, self.rollout.share, self.rollout.start_time))


def artifact_of(name: str, chunks: Iterable[bytes]) -> Artifact:
    """Addresses content: SHA-256 over the chunks one after the other."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return Artifact(name, digest.hexdigest(), size)


def content_hash_of(artifacts: Sequence[Artifact]) -> str:
    """SHA-256 over names and hashes, by name."""
    lines = "".join(f"{one.name} {one.sha256}\n" for one in sorted(artifacts, key=lambda one: one.name))
    return hashlib.sha256(lines.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Purchases:
    """Purchases in columns: one row a product of a basket. Times are seconds since 1970, UTC.

    Users, products and baskets are numbered from 0 without gaps; a product stands at most once in a basket.
    """

    product_ids: tuple[str, ...]
    user_count: int
    users: Ints
    products: Ints
    baskets: Ints
    times_s: Longs

    @property
    def end_time_s(self) -> int:
        """The latest purchase."""
        return int(self.times_s.max())


@dataclass(frozen=True, slots=True)
class Categories:
    """Leaf category of each product `[P]`, names of the leaves, parent of each leaf `[L]`."""

    leaf_indexes: Ints
    leaves: tuple[str, ...]
    parents: Ints


@dataclass(frozen=True, slots=True)
class ItemStatistics:
    """Columns by product `[P]`, as documented in `ReadItemStatisticsResponse`."""

    buyers: dict[int, Longs]
    """Distinct buyers by window in days."""
    popularities: Floats
    trends: Floats
    repeat_interval_days: Floats
    repurchase_probabilities: Floats
    purchase_counts: Longs


@dataclass(frozen=True, slots=True)
class RenewalTable:
    """P(bought again within 28 days) `[C, D]` by decayed count and days since the last purchase, with upper edges."""

    probabilities: Floats
    count_edges: Floats
    day_edges: Floats


@dataclass(frozen=True, slots=True)
class ItemNeighbours:
    """Neighbours of all products, strongest first: those of product i are rows `offsets[i]` to `offsets[i + 1]`."""

    offsets: Longs
    neighbours: Ints
    weights: Floats


@dataclass(frozen=True, slots=True)
class Tables:
    """What a release holds."""

    product_ids: tuple[str, ...]
    user_count: int
    data_end_time_s: int
    categories: Categories
    statistics: ItemStatistics
    renewal: RenewalTable
    neighbours: ItemNeighbours


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is; `total` 0 means not known."""

    step: str
    done: int = 0
    total: int = 0
