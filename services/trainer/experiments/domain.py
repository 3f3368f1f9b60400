"""Experiments and their rules. No input or output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

BUCKETS = 10_000
"""Of a layer, and of an experiment's variants."""
DAY_S = 86_400.0


class State(StrEnum):
    """How an experiment stands."""

    DRAFT = "draft"
    RUNNING = "running"
    STOPPED = "stopped"


class Metric(StrEnum):
    """What is compared; an observation is a person."""

    CLICK_THROUGH = "click_through"
    CONVERSION = "conversion"
    REVENUE = "revenue"


class ListKind(StrEnum):
    """A kind of list, as attribution tokens name it."""

    HOME = "home"
    BUY_AGAIN = "buy_again"
    DISCOVER = "discover"
    PRODUCT_PAGE = "product_page"
    CART = "cart"
    SEARCH = "search"
    SIMILAR = "similar"


class Ranker(StrEnum):
    """What orders recommendations."""

    LEARNED = "learned"
    BLEND = "blend"


RECOMMENDED = frozenset({ListKind.HOME, ListKind.BUY_AGAIN, ListKind.DISCOVER, ListKind.PRODUCT_PAGE, ListKind.CART})
CHANGES: dict[str, frozenset[ListKind]] = {
    "release_id": frozenset(ListKind),
    "ranker": RECOMMENDED,
    "diversity": RECOMMENDED,
    "revenue_weight": RECOMMENDED,
    "exclude_purchased": RECOMMENDED - {ListKind.BUY_AGAIN},
    "personalized": RECOMMENDED | {ListKind.SEARCH},
}
"""The lists that each parameter can change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What a variant changes; None: as it is."""

    release_id: str | None = None
    ranker: Ranker | None = None
    diversity: float | None = None
    revenue_weight: float | None = None
    exclude_purchased: bool | None = None
    personalized: bool | None = None

    def names(self) -> frozenset[str]:
        """Those that are set."""
        return frozenset(name for name in CHANGES if getattr(self, name) is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to answer; `share` is that of the experiment's people."""

    variant_id: str
    share: float
    parameters: Parameters = field(default_factory=Parameters)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in units of a currency."""

    units: float
    currency: str


@dataclass(frozen=True, slots=True)
class Buckets:
    """A range of a layer's buckets."""

    first: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An experiment; the first variant is the control."""

    experiment_id: str
    variants: tuple[Variant, ...]
    description: str = ""
    state: State = State.DRAFT
    layer: str = ""
    share: float = 1.0
    list_kinds: tuple[ListKind, ...] = ()
    """Empty: all that its parameters can change."""
    outcome_window_s: float = 7 * DAY_S
    primary_metric: Metric = Metric.CONVERSION
    guardrails: tuple[Metric, ...] = ()
    alpha: float = 0.05
    revenue_cap: Money | None = None
    create_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    stop_time: datetime | None = None
    stop_cause: str = ""
    buckets: tuple[Buckets, ...] = ()
    salt: str = ""

    def parameter_names(self) -> frozenset[str]:
        """Those that any variant sets."""
        return frozenset().union(*(variant.parameters.names() for variant in self.variants))

    def release_ids(self) -> frozenset[str]:
        """Releases that variants answer with."""
        named = (variant.parameters.release_id for variant in self.variants)
        return frozenset(release_id for release_id in named if release_id)

    def changed_lists(self, parameter: str) -> frozenset[ListKind]:
        """The lists on which it changes a parameter."""
        if parameter not in self.parameter_names():
            return frozenset()
        changeable = CHANGES[parameter]
        return changeable & frozenset(self.list_kinds) if self.list_kinds else changeable

    def changing_lists(self) -> frozenset[ListKind]:
        """The lists whose answers count: all named ones that a parameter changes; without parameters all named ones."""
        if not self.parameter_names():
            return frozenset(self.list_kinds or ListKind)
        return frozenset().union(*(self.changed_lists(name) for name in self.parameter_names()))

    def bucket_count(self) -> int:
        """Buckets that its share takes; at least one."""
        return max(round(self.share * BUCKETS), 1)


def clash(one: Experiment, other: Experiment) -> str:
    """What two experiments of different layers would both change; empty: nothing.

    In one layer nobody is in both, so there they may change the same.
    """
    if one.layer == other.layer:
        return ""
    for parameter in sorted(one.parameter_names() & other.parameter_names()):
        both = one.changed_lists(parameter) & other.changed_lists(parameter)
        if both:
            return f"{parameter} of {min(both)}"
    return ""


def allocate(count: int, taken: Iterable[Buckets], start: int) -> tuple[Buckets, ...] | None:
    """Free buckets of a layer, looked for from `start` on and around its end; None: there are not enough.

    >>> allocate(3, [Buckets(2, 4)], 0)
    (Buckets(first=0, count=2), Buckets(first=6, count=1))
    """
    used = bytearray(BUCKETS)
    for one in taken:
        used[one.first : one.first + one.count] = b"\1" * one.count
    free = [place for step in range(BUCKETS) if not used[place := (start + step) % BUCKETS]][:count]
    return _ranges(sorted(free)) if len(free) == count else None


def _ranges(places: Sequence[int]) -> tuple[Buckets, ...]:
    """Sorted places as ranges."""
    found: list[Buckets] = []
    for place in places:
        if found and found[-1].first + found[-1].count == place:
            found[-1] = Buckets(found[-1].first, found[-1].count + 1)
        else:
            found.append(Buckets(place, 1))
    return tuple(found)
