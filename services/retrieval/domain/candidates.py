"""Channels answered from memory, and what they bring together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from services.retrieval.domain.shelf import Shelf, take
from services.retrieval.domain.vectors import best

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


class Channel(IntEnum):
    """A way by which a product becomes a candidate; numbers are the contract's."""

    BUY_AGAIN = 1
    SIMILAR_TO_RECENT = 2
    BOUGHT_TOGETHER = 3
    TRENDING = 4
    NEW = 5
    POPULAR_IN_CATEGORY = 6
    SEMANTIC = 7
    KEYWORD = 8
    POPULAR = 9
    BEHAVIOUR = 10


DEFAULT_CHANNELS = (
    Channel.BUY_AGAIN,
    Channel.SIMILAR_TO_RECENT,
    Channel.BOUGHT_TOGETHER,
    Channel.BEHAVIOUR,
    Channel.TRENDING,
    Channel.NEW,
    Channel.POPULAR_IN_CATEGORY,
    Channel.POPULAR,
)


@dataclass(frozen=True, slots=True)
class Seeds:
    """Products that stand for a person's interest, in columns `[S]`."""

    product_ids: tuple[str, ...] = ()
    weights: Doubles = field(default_factory=lambda: np.empty(0))
    """In the channel BOUGHT_TOGETHER, and the order of BUY_AGAIN."""
    content_weights: Doubles = field(default_factory=lambda: np.empty(0))
    """In the channel SIMILAR_TO_RECENT."""
    bought: Bools = field(default_factory=lambda: np.empty(0, np.bool_))


@dataclass(frozen=True, slots=True)
class FailedChannel:
    """A channel that brought nothing because something failed."""

    channel: Channel
    cause: str


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rows of the table, each once, with bit c of the mask set where channel c brought it."""

    rows: Rows
    masks: npt.NDArray[np.uint32]


def from_order(channel: Channel, shelf: Shelf, allowed: Bools, count: int) -> Rows:
    """Rows of a channel that is one list for everybody."""
    orders = {Channel.TRENDING: shelf.trending, Channel.NEW: shelf.new, Channel.POPULAR: shelf.best_sellers}
    return take(orders[channel], allowed, count)


def buy_again(rows: Rows, weights: Doubles, allowed: Bools, count: int) -> Rows:
    """What was bought, strongest first."""
    kept = allowed[rows]
    return best(weights[kept], rows[kept], count)[0]


def bought_together(scores: Floats, allowed: Bools, count: int) -> Rows:
    """Rows with the highest neighbour scores."""
    rows = np.flatnonzero((scores > 0) & allowed)
    return best(scores[rows], rows, count)[0]


def popular_in_categories(shelf: Shelf, categories: Sequence[str], allowed: Bools, count: int) -> Rows:
    """Best sellers of each category in equal parts; what one category lacks, the stronger ones give."""
    if not categories:
        return np.empty(0, np.int64)
    part = -(-count // len(categories))
    found = [take(shelf.popular_in(category), allowed, part) for category in categories]
    rows = unique(found)
    if len(rows) < count:
        more = [take(shelf.popular_in(category), allowed, count) for category in categories]
        rows = unique([rows, *more])
    return rows[:count]


def merge(brought: Mapping[Channel, Rows], size: int, live: Bools) -> Candidates:
    """Joins what channels brought, in their order, without products that were deleted meanwhile."""
    masks = np.zeros(size, np.uint32)
    for channel, rows in brought.items():
        masks[rows] |= np.uint32(1 << channel)
    rows = unique(brought.values())
    rows = rows[live[rows]]
    return Candidates(rows, masks[rows])


def unique(parts: Iterable[Rows]) -> Rows:
    """Rows of all parts, each at its first place."""
    rows = np.concatenate([np.empty(0, np.int64), *parts])
    distinct: Rows = rows[np.sort(np.unique(rows, return_index=True)[1])]
    return distinct
