"""Features of a past moment are, number by number, those that serving would have computed then."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from mercato.trainer.v1 import trainer_service_pb2 as pb

from services.ranking.adapters.trainer import statistics_from_proto
from services.ranking.converters import BROWSING
from services.trainer.converters import tables_to_chunks
from services.trainer.job.tables import compute_tables
from services.trainer.learning.interactions import EventKind, Interactions
from services.trainer.ranker.candidates import BehaviourVectors, CandidateConfig, CandidateFinder
from services.trainer.ranker.joining import columns_of
from services.trainer.ranker.seeds import BROWSING as LEARNT
from services.trainer.ranker.snapshot import Snapshot
from shared.features.columns import Candidates, History, Statistics
from shared.features.joined import join
from shared.features.registry import FEATURES, matrix
from tests.unit.trainer.ranker.shop import DAY, NEIGHBOURS, START, content, rows

NAMES = tuple(FEATURES)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 3), st.integers(30 * DAY, 149 * DAY), st.integers(0, 39))
def test_learning_and_serving_compute_the_same(seed: int, after_s: int, user: int) -> None:
    events, items, cut_s = rows(seed=seed), content(seed=seed), START + after_s
    snapshot = Snapshot.at(events, items.categories, cut_s, NEIGHBOURS)
    random = np.random.default_rng(seed)
    shape = (events.user_count, len(events.product_ids))
    vectors = BehaviourVectors(*(random.normal(size=(count, 4)).astype(np.float32) for count in shape))
    users = np.unique(np.array([user, *random.integers(0, events.user_count, 5)])).astype(np.int32)
    found = CandidateFinder(snapshot, items, CandidateConfig(channel=8), vectors).find(users)
    columns = columns_of(snapshot, items, users, found)
    learnt = matrix(columns, NAMES)
    mine = found.persons == int(np.searchsorted(users, user))
    asked = _request(columns.candidates, mine)
    statistics = _released(events.before(cut_s), items)
    served = matrix(join(asked, statistics, _history(events.before(cut_s), items, user), cut_s), NAMES)
    for place, name in enumerate(NAMES):
        np.testing.assert_allclose(learnt[mine, place], served[:, place], rtol=1e-5, atol=1e-5, err_msg=name)


def test_what_counts_as_looking_is_the_same() -> None:
    assert {*LEARNT} == {*BROWSING}


def _request(candidates: Candidates, chosen: np.ndarray) -> Candidates:
    """The candidates of one person as retrieval names them."""
    values = {}
    for name in Candidates.__slots__:
        value = getattr(candidates, name)
        values[name] = value[chosen] if isinstance(value, np.ndarray) else value
    values["product_ids"] = tuple(candidates.product_ids[place] for place in np.flatnonzero(chosen))
    return Candidates(**values)


def _released(before: Interactions, items) -> Statistics:  # type: ignore[no-untyped-def]
    tables = compute_tables(before.purchases(), items.categories, NEIGHBOURS, lambda step, done, total: None)
    parts = [pb.ReadItemStatisticsResponse.FromString(part) for part in tables_to_chunks(tables)["statistics"]]
    return statistics_from_proto("r", parts)


def _history(before: Interactions, items, user: int) -> History:  # type: ignore[no-untyped-def]
    """As the profile service tells it: oldest first, dictionaries of one's own."""
    bought = before.where(before.users == user).of_kind(EventKind.PURCHASE)
    products = np.unique(bought.products)
    names = [items.categories.leaves[leaf] for leaf in items.categories.leaf_indexes[products]]
    leaves = sorted(set(names))
    looked = before.where(before.users == user).of_kind(*LEARNT)
    browsed: dict[str, float] = {}
    for product, time_s in zip(looked.products.tolist(), looked.times_s.tolist(), strict=True):
        key = before.product_ids[product]
        browsed[key] = max(browsed.get(key, 0.0), float(time_s))
    return History(
        product_ids=tuple(before.product_ids[product] for product in products),
        category_names=tuple(leaves),
        categories=np.array([leaves.index(name) for name in names], np.int64),
        product_indexes=np.searchsorted(products, bought.products),
        times_s=bought.times_s,
        baskets=np.unique(np.stack([bought.times_s, bought.events]), axis=1, return_inverse=True)[1].ravel(),
        browsed=browsed,
    )
