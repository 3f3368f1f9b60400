"""Groups of users and of products that a mean over all could hide.

Users are sliced by their activity before the cut. Products are sliced on the side of truth: only relevant products of
the slice count, so a user's measure asks "of the new products you chose, how many did we list?".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.evaluation.arrays import Longs, Mask, finite
from shared.evaluation.ranking import Truth

ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceConfig:
    """Where slices begin."""

    new_user_events: int = 5
    """A user with fewer events before the cut is new."""
    light_share: float = 1 / 3
    """The least active share of the other users is light."""
    heavy_share: float = 1 / 3
    """The most active share of the other users is heavy."""
    new_product_days: float = 28.0
    """A product first seen fewer days before the cut is new."""
    fewest: int = 20
    """Smaller slices are left out: their intervals say nothing."""

    def __post_init__(self) -> None:
        if min(self.light_share, self.heavy_share) < 0 or self.light_share + self.heavy_share > 1:
            raise ValueError("light_share and heavy_share must be >= 0 and sum to at most 1")


DEFAULT = SliceConfig()


def user_slices(events_U: npt.ArrayLike, config: SliceConfig = DEFAULT) -> dict[str, Mask]:
    """Masks `[U]` of all, new, light, medium and heavy users by events before the cut; slices too small are absent.

    Users of equal activity stand in the same slice, so shares hold up to ties.
    """
    events = finite("events", events_U)
    new = events < config.new_user_events
    known = events[~new]
    light_end = heavy_start = np.inf
    if len(known):
        light_end, heavy_start = np.quantile(known, [config.light_share, 1.0 - config.heavy_share])
    light = ~new & (events <= light_end)
    heavy = ~new & ~light & (events >= heavy_start)
    found = {
        ALL: np.ones(len(events), np.bool_),
        "new users": new,
        "light users": light,
        "medium users": ~(new | light | heavy),
        "heavy users": heavy,
    }
    return {name: mask for name, mask in found.items() if mask.sum() >= config.fewest}


def new_products(first_ages_days_P: npt.ArrayLike, config: SliceConfig = DEFAULT) -> Mask:
    """Products first seen within `new_product_days` before the cut, or never before it (age inf or nan) `[P]`."""
    ages = np.asarray(first_ages_days_P, np.float64)
    fresh: Mask = ~np.isfinite(ages) | (ages < config.new_product_days)
    return fresh


def category_slices(
    truth: Truth, categories_P: Longs, names: Mapping[int, str], most: int, config: SliceConfig = DEFAULT
) -> dict[str, Mask]:
    """Masks `[P]` of the categories that most users chose from, at most `most`, largest first."""
    pairs = np.unique(np.stack([truth.users, categories_P[truth.items]]), axis=1)
    users_C = np.bincount(pairs[1], minlength=int(categories_P.max(initial=0)) + 1)
    order = np.argsort(-users_C, kind="stable")[:most]
    return {
        names.get(int(category), str(category)): categories_P == category
        for category in order
        if users_C[category] >= config.fewest
    }


def of_products(truth: Truth, products_P: Mask) -> tuple[Truth, Longs]:
    """Truth with the products of a slice alone, and the numbers of the users who chose any of them `[U']`."""
    kept = products_P[truth.items]
    users, items = truth.users[kept], truth.items[kept]
    having = np.unique(users)
    return Truth.of_pairs(np.searchsorted(having, users), items, len(having)), having
