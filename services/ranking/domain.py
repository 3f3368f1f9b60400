"""What is asked for and the ranked result. No input or output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from shared.features.columns import Candidates, Channel, History


class Placement(IntEnum):
    """Where the list will stand; numbers as in the contract."""

    HOME = 1
    BUY_AGAIN = 2
    DISCOVER = 3
    PRODUCT_PAGE = 4
    CART = 5


class ReasonCode(IntEnum):
    """Kinds of reasons; numbers as in the contract."""

    BUY_AGAIN_DUE = 1
    BOUGHT_OFTEN = 2
    BOUGHT_TOGETHER = 3
    SIMILAR = 4
    MATCHES_INTEREST = 5
    TRENDING = 6
    NEW = 7
    POPULAR = 8
    MATCHES_QUERY = 9
    CHOSEN_NEXT = 10


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a product is where it is."""

    code: ReasonCode
    text: str
    related_product_id: str = ""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature adds to a score."""

    feature: str
    value: float
    contribution: float


@dataclass(frozen=True, slots=True)
class RankedCandidate:
    """One product in its place."""

    product_id: str
    score: float
    channel: Channel
    reason: Reason
    contributions: tuple[Contribution, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RankCommand:
    """What is asked for."""

    candidates: Candidates
    history: History
    now_s: float
    limit: int
    placement: Placement = Placement.HOME
    diversity: float | None = None
    explain: bool = False
    excluded: frozenset[str] = frozenset()
    only_new: bool = False
    seed_product_ids: Sequence[str] = ()
    release_id: str = ""
    """Empty: the current one."""
    revenue_weight: float | None = None
    """From 0 (by probability) to 1 (by expected revenue). None: the placement's own."""
    by_blend: bool = False
    """Whether the blend orders also where the release has a ranker."""
