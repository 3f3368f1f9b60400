"""Simple recommenders, computed from the train rows alone. Ties go to what is more popular, then to the smaller id."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from services.cli.evaluation.protocol import DEPTH
from services.cli.evaluation.split import Split
from shared.evaluation.arrays import Doubles

POPULARITY_DAYS = 56.0
OWN_HALF_LIFE_DAYS = 112.0


def popularity(split: Split) -> Doubles:
    """Households that bought it in the last eight weeks `[items]`."""
    recent = split.ages_days <= POPULARITY_DAYS
    pairs = np.unique(split.user_rows[recent].astype(np.int64) * len(split.items) + split.item_rows[recent])
    return np.bincount(pairs % len(split.items), minlength=len(split.items)).astype(np.float64)


def most_popular(split: Split, users: Iterable[int], *, only_new: bool) -> dict[int, list[int]]:
    """The same list for everybody, without what was bought when only new products count."""
    order = np.lexsort((np.arange(len(split.items)), -popularity(split)))
    lists = {}
    for user in users:
        seen = set(split.seen[user].tolist()) if only_new and user in split.seen else set()
        head = order[: DEPTH + len(seen)].tolist()
        lists[user] = [item for item in head if item not in seen][:DEPTH]
    return lists


def own_most_bought(split: Split, users: Iterable[int], half_life_days: float | None) -> dict[int, list[int]]:
    """What the household bought most; with a half-life, old purchases count less."""
    popular = popularity(split)
    weights = np.ones(len(split.ages_days)) if half_life_days is None else 2.0 ** (-split.ages_days / half_life_days)
    order = np.argsort(split.user_rows, kind="stable")
    starts = np.searchsorted(split.user_rows[order], np.arange(len(split.users) + 1))
    fallback = np.lexsort((np.arange(len(split.items)), -popular))[: 2 * DEPTH].tolist()
    lists = {}
    for user in users:
        rows = order[starts[user] : starts[user + 1]]
        items, places = np.unique(split.item_rows[rows], return_inverse=True)
        scores = np.bincount(places, weights[rows])
        best = items[np.lexsort((items, -popular[items], -scores))].tolist()
        own = set(best)
        lists[user] = (best + [item for item in fallback if item not in own])[:DEPTH]
    return lists
