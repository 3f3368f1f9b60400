"""Candidates of many persons at a past moment in the columns that features are computed from.

The twin of `shared.features.joined.join`: from there on, serving and learning run the same code.

Legend: U persons, P products, N candidates, K pairs of person and product, M pairs of person and leaf, T text vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.trainer.domain import Ints
from services.trainer.learning.interactions import ItemContent
from services.trainer.ranker.candidates import Found
from services.trainer.ranker.seeds import BROWSING
from services.trainer.ranker.snapshot import Snapshot
from shared.features.columns import Candidates, Doubles, Longs
from shared.features.joined import LEAST_LEAF_SIZE, Columns
from shared.features.people import Bought, people_at


@dataclass(frozen=True, slots=True)
class _Histories:
    """What users bought, and the keys by which candidates find it; keys ascend."""

    bought: Bought
    pair_keys: Longs
    """user place × P + product `[K]`."""
    leaf_keys: Longs
    """user place × L + leaf `[M]`."""


def columns_of(snapshot: Snapshot, content: ItemContent, users: Ints, found: Found) -> Columns:
    """The columns of candidates of `users` (numbers of the rows, ascending)."""
    histories, products = _histories(snapshot, users), found.products
    leaves = snapshot.categories.leaf_indexes.astype(np.int64)[products]
    pair_keys = found.persons * len(snapshot.rows.product_ids) + products
    leaf_keys = found.persons * len(snapshot.categories.leaves) + leaves
    return Columns(
        candidates=_candidates(snapshot, content, found),
        statistics=snapshot.feature_statistics,
        people=people_at(histories.bought, snapshot.cut_s),
        persons=found.persons,
        items=np.where(snapshot.met[products], products, -1),
        own=_places(histories.pair_keys, pair_keys),
        own_leaves=_places(histories.leaf_keys, leaf_keys),
        leaf_sizes=np.maximum(snapshot.leaf_sizes, LEAST_LEAF_SIZE)[leaves],
        browsed_s=_browsed(snapshot, users, pair_keys),
        now_s=float(snapshot.cut_s),
    )


def _candidates(snapshot: Snapshot, content: ItemContent, found: Found) -> Candidates:
    ids, products = snapshot.rows.product_ids, found.products
    return Candidates(
        product_ids=tuple(ids[product] for product in products.tolist()),
        category_names=content.categories.leaves,
        categories=content.categories.leaf_indexes.astype(np.int64)[products],
        brand_names=content.brand_names,
        brands=content.brands.astype(np.int64)[products],
        channel_masks=found.channel_masks,
        neighbour_scores=found.neighbour_scores,
        neighbour_seeds=np.full(len(products), -1, np.int64),
        content_scores=found.content_scores,
        publish_times_s=content.publish_times_s[products],
        behaviour_scores=found.behaviour_scores,
        prices=content.prices.astype(np.float64)[products],
    )


def _histories(snapshot: Snapshot, users: Ints) -> _Histories:
    purchases, leaf_count = snapshot.purchases, len(snapshot.categories.leaves)
    places = np.full(purchases.user_count, -1, np.int64)
    places[users] = np.arange(len(users))
    rows = np.flatnonzero(places[purchases.users] >= 0)
    persons, products = places[purchases.users[rows]], purchases.products[rows]
    count = len(purchases.product_ids)
    pair_keys, pairs = np.unique(persons * count + products, return_inverse=True)
    pair_persons, pair_products = pair_keys // count, pair_keys % count
    leaves = snapshot.categories.leaf_indexes.astype(np.int64)[pair_products]
    leaf_keys, pair_leaves = np.unique(pair_persons * leaf_count + leaves, return_inverse=True)
    bought = Bought(
        count=len(users),
        pair_persons=pair_persons,
        pair_leaves=pair_leaves,
        leaf_persons=leaf_keys // leaf_count,
        pairs=pairs,
        baskets=_baskets_by_time(purchases.baskets[rows], purchases.times_s[rows]),
        times_s=purchases.times_s[rows],
    )
    return _Histories(bought, pair_keys, leaf_keys)


def _baskets_by_time(baskets: Ints, times_s: Longs) -> Longs:
    """Basket numbers that grow with time."""
    keys = np.stack([times_s, baskets.astype(np.int64)])
    return np.asarray(np.unique(keys, axis=1, return_inverse=True)[1].ravel(), dtype=np.int64)


def _browsed(snapshot: Snapshot, users: Ints, pair_keys: Longs) -> Doubles:
    """Time of the latest view, click, cart or wish of each candidate; 0: none."""
    rows = snapshot.rows.of_kind(*BROWSING)
    persons = np.searchsorted(users, rows.users)
    asked = np.append(users, -1)[persons] == rows.users
    keys = (persons * len(rows.product_ids) + rows.products)[asked]
    order = np.lexsort((-rows.times_s[asked], keys))
    pairs, first = np.unique(keys[order], return_index=True)
    places = _places(pairs, pair_keys)
    times_s = np.append(rows.times_s[asked][order][first], 0).astype(np.float64)
    found: Doubles = times_s[places]
    return found


def _places(keys: Longs, wanted: Longs) -> Longs:
    """Where each wanted key stands among ascending keys; -1: nowhere."""
    places = np.searchsorted(keys, wanted)
    return np.where(np.append(keys, -1)[places] == wanted, places, -1)
