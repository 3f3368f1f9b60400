"""The behaviour channel: where memory answers and where Milvus does, how wide it asks, and what failures lead to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from services.retrieval.domain.behaviour import BehaviourIndex, BehaviourVectors
from services.retrieval.domain.index import IndexInfo, LiveIndex
from services.retrieval.domain.product import IndexedProduct, Product
from services.retrieval.domain.release import ReleaseLists
from services.retrieval.domain.shelf import Shelf
from services.retrieval.domain.table import ProductTable
from services.retrieval.expected_next import MOST_ASKED, MOST_NAMED, ExpectedNext, ExpectedPolicy, Person, person_of
from shared.errors.base import Unavailable
from tests.fakes.retrieval.behaviour import FakeBehaviour

COUNT = 3000
STORED = BehaviourIndex("shop", "r1", 2)
USER = np.array([1.0, 0.25], np.float32)
NOTHING = (np.empty(0, np.int64), np.empty(0, np.float32))


class Doubts:
    """The indexes of all tenants, as far as the channel needs them."""

    def __init__(self) -> None:
        self.count = 0

    def doubt(self) -> None:
        self.count += 1


class Channel:
    """A shop of `COUNT` products, the last of which have no vector, and a channel over it."""

    def __init__(self, *, exact: int, held: bool = True, seed: int = 5) -> None:
        ids = [f"p{number}" for number in range(COUNT)]
        self.values = np.random.default_rng(seed).normal(size=(COUNT - 10, 2)).astype(np.float32)
        self.behaviour = BehaviourVectors(ids[:-10], self.values)
        self.milvus = FakeBehaviour()
        self.milvus.vectors[STORED] = dict(zip(ids, self.values, strict=False))
        self.behaviour.stored, self.behaviour.doubtful = len(self.behaviour), False
        if not held:
            self.behaviour.let_go()
        self.table = ProductTable(1, 10**6)
        self.table.put([IndexedProduct(Product(one, (), "", 1, True, 1, 1), np.ones(1, np.float32), "") for one in ids])
        empty = np.empty(0, np.float32)
        lists = ReleaseLists(
            "r1", {}, np.zeros(1, np.int64), np.empty(0, np.int32), empty, empty, empty, self.behaviour
        )
        index = LiveIndex(IndexInfo("i", "shop", "m", 1, 1, True), self.table)
        made = person_of("shop", index, Shelf(self.table, lists, 30), USER)
        assert made is not None
        self.person: Person = made
        self.doubts = Doubts()
        doubts: Any = self.doubts
        self.next = ExpectedNext(doubts, self.milvus, ExpectedPolicy(exact_scan_products=exact, seconds=5.0))

    def expected(self, allowed: np.ndarray, limit: int) -> list[int]:
        rows = np.flatnonzero(allowed[: COUNT - 10])
        return rows[np.argsort(-(self.values[rows] @ USER), kind="stable")][:limit].tolist()

    async def find(self, allowed: np.ndarray, limit: int) -> list[int]:
        rows, scores = await self.next.find(self.person, allowed, limit)
        assert scores.tolist() == pytest.approx((self.values[rows] @ USER).tolist(), rel=1e-5)
        return rows.tolist()


def every(share: float = 1.0) -> np.ndarray:
    return np.random.default_rng(8).random(COUNT) < share


async def test_few_products_are_compared_here_and_many_by_milvus() -> None:
    shop = Channel(exact=2000)
    few, many = every(0.5), every()
    assert await shop.find(few, 20) == shop.expected(few, 20)
    assert shop.milvus.asked == []
    assert await shop.find(many, 20) == shop.expected(many, 20)
    assert len(shop.milvus.asked) == 1


@pytest.mark.parametrize("share", [1.0, 0.5, 0.01, 0.0])
@pytest.mark.parametrize("held", [True, False])
async def test_the_answer_is_the_same_wherever_it_comes_from(share: float, held: bool) -> None:
    shop, allowed = Channel(exact=0, held=held), every(share)
    assert await shop.find(allowed, 30) == shop.expected(allowed, 30)


async def test_few_allowed_products_are_named_to_milvus() -> None:
    shop = Channel(exact=0, held=False)
    allowed = np.zeros(COUNT, np.bool_)
    allowed[shop.expected(every(), COUNT)[-MOST_NAMED:]] = True  # the worst of all: no search without names finds them
    assert await shop.find(allowed, 7) == shop.expected(allowed, 7)
    assert shop.milvus.asked == [7]


async def test_where_the_best_are_not_allowed_the_search_is_widened_and_ends() -> None:
    shop = Channel(exact=0, held=False)
    allowed = np.zeros(COUNT, np.bool_)
    allowed[shop.expected(every(), COUNT)[-MOST_NAMED - 1 :]] = True
    assert await shop.find(allowed, 7) == shop.expected(allowed, 7)
    assert shop.milvus.asked == sorted(set(shop.milvus.asked))
    assert 1 < len(shop.milvus.asked) < 6
    assert max(shop.milvus.asked) <= MOST_ASKED


async def test_products_that_were_deleted_meanwhile_are_left_out() -> None:
    shop, allowed = Channel(exact=0, held=False), every()
    best = shop.expected(allowed, 2)
    shop.table.remove([f"p{best[0]}"])
    assert (await shop.find(allowed, 1)) == [best[1]]


async def test_while_milvus_is_down_memory_answers_and_is_asked_first_until_it_was_checked() -> None:
    shop, allowed = Channel(exact=0), every()
    shop.milvus.down = True
    assert await shop.find(allowed, 9) == shop.expected(allowed, 9)
    assert (shop.behaviour.doubtful, shop.doubts.count) == (True, 1)
    shop.milvus.down = False
    assert await shop.find(allowed, 9) == shop.expected(allowed, 9)
    assert shop.milvus.asked == []


async def test_while_milvus_is_down_and_memory_let_go_the_channel_fails() -> None:
    shop = Channel(exact=10**6, held=False)
    shop.milvus.down = True
    with pytest.raises(Unavailable):
        await shop.find(every(), 9)
    with pytest.raises(Unavailable):
        await shop.next.scores(shop.person, np.arange(5), NOTHING)
    assert shop.behaviour.doubtful


@pytest.mark.parametrize("share", [1.0, 0.1])
async def test_an_index_that_was_emptied_behind_our_back_is_no_answer(share: float) -> None:
    shop, allowed = Channel(exact=0, held=False), every(share)
    shop.milvus.vectors[STORED].clear()
    with pytest.raises(Unavailable):
        await shop.find(allowed, 9)
    assert shop.behaviour.doubtful


async def test_half_filled_is_not_searched() -> None:
    shop, allowed = Channel(exact=0), every()
    shop.behaviour.stored = 10
    assert await shop.find(allowed, 9) == shop.expected(allowed, 9)
    assert shop.milvus.asked == []


@pytest.mark.parametrize("held", [True, False])
async def test_every_candidate_has_its_score_whoever_brought_it(held: bool) -> None:
    shop = Channel(exact=0, held=held)
    found = await shop.next.find(shop.person, every(), 3)
    rows = np.array([COUNT - 1, 17, *found[0].tolist(), 4], np.int64)
    expected = [0.0, *(shop.values[row] @ USER for row in rows[1:])]
    for _ in range(2):
        assert (await shop.next.scores(shop.person, rows, found)).tolist() == pytest.approx(expected, rel=1e-5)
    assert len(await shop.next.scores(shop.person, rows[:0], found)) == 0


async def test_vectors_read_for_scores_are_remembered() -> None:
    shop = Channel(exact=0, held=False)
    first = await shop.next.scores(shop.person, np.arange(5), NOTHING)
    shop.milvus.down = True
    assert (await shop.next.scores(shop.person, np.arange(5), NOTHING)).tolist() == first.tolist()
