"""All measures of one model's lists, by household."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.cli.evaluation.protocol import CATEGORIES, DEPTH, HEAD, SLICES
from services.cli.evaluation.split import Split
from shared.evaluation import beyond_accuracy, ranking
from shared.evaluation.arrays import Doubles, Longs, Mask
from shared.evaluation.ranking import Truth
from shared.evaluation.slices import ALL, category_slices, new_products, of_products, user_slices

MAIN = f"ndcg@{HEAD}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """What lists are measured against: the same for every model of a mode."""

    users: Longs
    """Numbers of the test households `[U]`."""
    truth: Truth
    paid: Doubles
    """For each entry of the truth, dollars."""
    users_by_slice: Mapping[str, Mask]
    products_by_slice: Mapping[str, Mask]
    categories: Longs
    """Department of each product `[P]`."""
    history: Doubles
    """Train rows by household and department `[U, C]`."""
    bought: Longs
    """Products that each household bought before, padded with -1 `[U, H]`."""
    buyers: Doubles
    """Households that bought the product before `[P]`."""
    household_count: int

    @classmethod
    def of(cls, split: Split, truth: Mapping[int, Any]) -> Background:
        """From the split and the truth of one mode."""
        users = np.array(list(truth), np.int64)
        relevant = Truth.of_lists([truth[user] for user in users.tolist()])
        names, categories = np.unique(split.departments, return_inverse=True)
        item_count = len(split.items)
        bought = [split.seen.get(user, np.empty(0, np.int64)).tolist() for user in users.tolist()]
        ages = np.zeros(item_count)
        np.maximum.at(ages, split.item_rows, split.ages_days)
        titles = dict(enumerate(names.tolist()))
        cells = np.bincount(
            split.user_rows.astype(np.int64) * len(names) + categories[split.item_rows],
            minlength=len(split.users) * len(names),
        )
        return cls(
            users=users,
            truth=relevant,
            paid=np.concatenate(
                [np.empty(0)]
                + [split.paid[user][np.searchsorted(split.truth[user], truth[user])] for user in users.tolist()]
            ),
            users_by_slice=user_slices(split.baskets[users], SLICES),
            products_by_slice={
                "new products": new_products(ages, SLICES),
                **category_slices(relevant, categories, titles, CATEGORIES, SLICES),
            },
            categories=categories.astype(np.int64),
            history=cells.reshape(len(split.users), len(names))[users].astype(np.float64),
            bought=ranking.padded(bought, max(map(len, bought), default=0)),
            buyers=np.bincount(
                np.concatenate([*split.seen.values(), np.empty(0, np.int64)]).astype(np.int64), minlength=item_count
            ).astype(np.float64),
            household_count=len(split.users),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """One model."""

    by_user: Mapping[str, Doubles]
    """Measure to values `[U]`; nan where a measure of the list does not apply."""
    by_slice: Mapping[str, Doubles]
    """nDCG of the households of each slice."""
    coverage: float
    gini: float


def measure(lists: Mapping[int, Sequence[int]], background: Background) -> Measures:
    """Measures lists of product numbers, by household."""
    listed = ranking.padded([lists.get(user, ()) for user in background.users.tolist()], DEPTH)
    head = listed[:, :HEAD]
    hits, relevant = ranking.hits(listed, background.truth), background.truth.counts
    bits = beyond_accuracy.self_information(background.buyers, background.household_count)
    by_user = {
        MAIN: ranking.ndcg(hits, relevant, HEAD),
        f"recall@{DEPTH}": ranking.recall(hits, relevant, DEPTH),
        f"map@{HEAD}": ranking.average_precision(hits, relevant, HEAD),
        f"mrr@{HEAD}": ranking.reciprocal_rank(hits, relevant, HEAD),
        f"hit_rate@{HEAD}": ranking.hit_rate(hits, relevant, HEAD),
        f"revenue@{HEAD}": ranking.gains(head, background.truth, background.paid).sum(axis=1),
        "novelty_bits": beyond_accuracy.novelty(head, bits),
        "diversity": beyond_accuracy.category_diversity(head, background.categories),
        "miscalibration_bits": beyond_accuracy.miscalibration(head, background.history, background.categories),
        "popularity_lift": beyond_accuracy.popularity_lift(head, background.bought, background.buyers),
    }
    item_count = len(background.buyers)
    return Measures(
        by_user=by_user,
        by_slice=_by_slice(listed, by_user[MAIN], background),
        coverage=beyond_accuracy.coverage(head, item_count),
        gini=beyond_accuracy.gini(head, item_count),
    )


def _by_slice(listed: Longs, gains: Doubles, background: Background) -> dict[str, Doubles]:
    found = {name: gains[mask] for name, mask in background.users_by_slice.items() if name != ALL}
    for name, products in background.products_by_slice.items():
        truth, having = of_products(background.truth, products)
        if len(having) >= SLICES.fewest:
            found[name] = ranking.ndcg(ranking.hits(listed[having], truth), truth.counts, HEAD)
    return found
