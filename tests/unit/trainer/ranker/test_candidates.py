"""The candidates of many persons are those that retrieval's own channels bring each of them."""

from __future__ import annotations

import numpy as np
import pytest

from services.retrieval.domain import candidates as channels
from services.retrieval.domain.product import IndexedProduct, Product
from services.retrieval.domain.release import ReleaseLists, score_neighbours
from services.retrieval.domain.shelf import Shelf
from services.retrieval.domain.table import ProductTable
from services.retrieval.domain.vectors import best, weighted_mean
from services.trainer.ranker.candidates import BehaviourVectors, CandidateConfig, CandidateFinder
from services.trainer.ranker.seeds import browse_seeds, content_seeds, leaf_interests, purchase_seeds
from services.trainer.ranker.snapshot import Snapshot
from shared.features.columns import Channel
from shared.features.content import closeness
from tests.unit.trainer.ranker.shop import DAY, NEIGHBOURS, START, content, rows

CONFIG = CandidateConfig(channel=7, buy_again=9, categories=3)


@pytest.mark.parametrize("seed", [0, 1])
def test_channels_are_retrievals(seed: int) -> None:
    events, items = rows(seed=seed), content(seed=seed)
    snapshot = Snapshot.at(events, items.categories, START + 100 * DAY, NEIGHBOURS)
    random = np.random.default_rng(seed)
    vectors = BehaviourVectors(
        random.normal(size=(events.user_count, 4)).astype(np.float32),
        random.normal(size=(len(events.product_ids), 4)).astype(np.float32),
    )
    users = np.arange(0, events.user_count, 3, dtype=np.int32)
    found = CandidateFinder(snapshot, items, CONFIG, vectors).find(users)
    purchased, browsed = purchase_seeds(snapshot, users), browse_seeds(snapshot, users)
    interests, liked = leaf_interests(snapshot, users), content_seeds(purchased, browsed)
    table, lists = _served(snapshot, items)
    shelf = Shelf(table, lists, CONFIG.new_days)
    for place, user in enumerate(users):
        weights = (purchased + browsed)[place]
        bought = purchased[place].indices
        allowed = np.ones(table.size, np.bool_)
        allowed[bought] = False
        seeds = [events.product_ids[item] for item in weights.indices]
        scores = shelf.by_row(score_neighbours(lists, seeds, weights.data.astype(np.float64)).scores)
        leaves = interests[place]
        strongest = leaves.indices[np.argsort(-leaves.data)][: CONFIG.categories]
        names = [items.categories.leaves[leaf] for leaf in strongest]
        mean = weighted_mean(items.text_vectors[liked[place].indices], liked[place].data.astype(np.float64))
        every = np.flatnonzero(allowed)
        expected = {
            Channel.BUY_AGAIN: channels.buy_again(
                bought, weights[0, bought].toarray()[0], np.ones(table.size, np.bool_), CONFIG.buy_again
            ),
            Channel.BOUGHT_TOGETHER: channels.bought_together(scores, allowed, CONFIG.channel),
            Channel.POPULAR_IN_CATEGORY: channels.popular_in_categories(shelf, names, allowed, CONFIG.channel),
            Channel.SIMILAR_TO_RECENT: every[np.argsort(-(items.text_vectors[every] @ mean))][: CONFIG.channel],
            Channel.BEHAVIOUR: best((vectors.products @ vectors.users[user])[every], every, CONFIG.channel)[0],
            **{
                channel: channels.from_order(channels.Channel(channel), shelf, allowed, CONFIG.channel)
                for channel in (Channel.TRENDING, Channel.NEW, Channel.POPULAR)
            },
        }
        mine = found.persons == place
        for channel, wanted in expected.items():
            brought = found.products[mine & (found.channel_masks >> channel & 1 > 0)]
            if channel is Channel.BUY_AGAIN:  # what was bought at one time ties, and either may be left out
                given = [sorted(weights[0, one].toarray()[0].tolist()) for one in (brought, wanted)]
                assert given[0] == given[1]
                continue
            assert brought.tolist() == sorted(wanted.tolist()), channel.name
        np.testing.assert_allclose(found.neighbour_scores[mine], scores[found.products[mine]], atol=1e-5)
        near = closeness(
            items.text_vectors[found.products[mine]], items.text_vectors[liked[place].indices], liked[place].data
        )
        np.testing.assert_allclose(found.content_scores[mine], near, atol=1e-6)
        assert near.max() > 0.0


def test_what_the_shop_did_not_have_yet_is_no_candidate() -> None:
    events, items = rows(), content()
    cut_s = START + 100 * DAY
    later = events.where(events.products != 3)
    items.publish_times_s[3] = cut_s + DAY
    users = np.arange(events.user_count, dtype=np.int32)
    finder = CandidateFinder(Snapshot.at(later, items.categories, cut_s, NEIGHBOURS), items, CONFIG, None)
    assert 3 not in finder.find(users).products
    items.publish_times_s[3] = cut_s - DAY
    finder = CandidateFinder(Snapshot.at(later, items.categories, cut_s, NEIGHBOURS), items, CONFIG, None)
    found = finder.find(users)
    assert (found.channel_masks[found.products == 3] >> Channel.NEW & 1).all()
    assert 3 in found.products


def _served(snapshot, items):  # type: ignore[no-untyped-def]
    table = ProductTable(items.text_vectors.shape[1], 1 << 20)
    leaves = [items.categories.leaves[leaf] for leaf in items.categories.leaf_indexes]
    table.put(
        IndexedProduct(
            Product(
                product_id=name,
                category_path=tuple(leaves[place].split(" > ")),
                brand="",
                price_micros=1,
                available=True,
                publish_time_s=int(items.publish_times_s[place]),
                change_number=1,
            ),
            items.text_vectors[place],
        )
        for place, name in enumerate(snapshot.rows.product_ids)
    )
    lists = ReleaseLists(
        "r",
        {name: place for place, name in enumerate(snapshot.rows.product_ids)},
        snapshot.neighbours.offsets,
        snapshot.neighbours.neighbours,
        snapshot.neighbours.weights,
        snapshot.statistics.popularities,
        snapshot.statistics.trends,
    )
    return table, lists
