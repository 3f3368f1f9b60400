"""What every implementation of `BehaviourIndexes` keeps. Subclasses give the fixture ``stored``, and a fresh tenant."""

from __future__ import annotations

import asyncio
import uuid

import numpy as np
import pytest

from services.retrieval.domain.behaviour import BehaviourIndex
from services.retrieval.ports import BehaviourIndexes
from shared.errors.base import Unavailable

NASTY = ['O"Neil', "back\\slash", "x') or true or ('", "naïve – ünïcode", "percent%_", "日本語"]
USER = np.array([1.0, 0.1], np.float32)


def vectors(*rows: tuple[float, float]) -> np.ndarray:
    return np.array(rows, np.float32)


@pytest.fixture
def index() -> BehaviourIndex:
    return BehaviourIndex(f"t-{uuid.uuid4().hex[:12]}_x", "r20260101T000000000-0abc", 2)


class BehaviourIndexesContract:
    async def test_the_highest_inner_product_is_first_not_the_smallest_angle(
        self, stored: BehaviourIndexes, index: BehaviourIndex
    ) -> None:
        await stored.open(index)
        await stored.upsert(index, ["long", "near", "far"], vectors((3.0, 9.0), (1.0, 0.1), (-1.0, -5.0)))
        hits = await stored.search(index, USER, 10)
        assert [hit.product_id for hit in hits] == ["long", "near", "far"]
        assert [hit.score for hit in hits] == pytest.approx([3.9, 1.01, -1.5])
        assert [hit.product_id for hit in await stored.search(index, USER, 1)] == ["long"]

    async def test_a_search_may_be_among_some_alone(self, stored: BehaviourIndexes, index: BehaviourIndex) -> None:
        await stored.open(index)
        await stored.upsert(
            index, [*NASTY, "best"], vectors(*((float(n), 0.0) for n in range(len(NASTY))), (99.0, 0.0))
        )
        hits = await stored.search(index, USER, 10, [*NASTY, "unknown"])
        assert [hit.product_id for hit in hits] == NASTY[::-1]

    async def test_writing_again_replaces(self, stored: BehaviourIndexes, index: BehaviourIndex) -> None:
        await stored.open(index)
        for value in (1.0, 2.0):
            await stored.upsert(index, ["a", "b"], vectors((value, 0.0), (0.0, value)))
        assert await stored.count(index) == 2
        found = await stored.read_vectors(index, ["b", "unknown", "a"])
        assert {one: vector.tolist() for one, vector in found.items()} == {"a": [2.0, 0.0], "b": [0.0, 2.0]}
        assert await stored.read_vectors(index, []) == {}

    async def test_opening_again_keeps_what_is_there(self, stored: BehaviourIndexes, index: BehaviourIndex) -> None:
        for _ in range(3):
            await stored.open(index)
            await stored.upsert(index, ["a"], vectors((1.0, 0.0)))
        assert await stored.count(index) == 1

    async def test_two_may_open_and_fill_at_once(self, stored: BehaviourIndexes, index: BehaviourIndex) -> None:
        async def fill() -> None:
            for _ in range(20):
                try:
                    await stored.open(index)
                    await stored.upsert(index, ["a", "b"], vectors((1.0, 0.0), (0.0, 1.0)))
                    await stored.mark(index, whole=True)
                except Unavailable:  # the other one was first: the same again
                    continue
                return
            pytest.fail("never filled")

        await asyncio.gather(fill(), fill())
        assert await stored.whole(index)
        assert await stored.count(index) == 2

    async def test_the_mark_says_whole_until_it_is_taken(self, stored: BehaviourIndexes, index: BehaviourIndex) -> None:
        await stored.open(index)
        assert not await stored.whole(index)
        for _ in range(2):
            await stored.mark(index, whole=True)
            assert await stored.whole(index)
        await stored.open(index)
        assert await stored.whole(index)
        for _ in range(2):
            await stored.mark(index, whole=False)
            assert not await stored.whole(index)

    async def test_each_tenant_has_its_own(self, stored: BehaviourIndexes, index: BehaviourIndex) -> None:
        second = BehaviourIndex(index.tenant, "r-other_1", 3)
        others = BehaviourIndex(f"{index.tenant}_r", index.release_id, 2)
        for one in (index, second, others):
            await stored.open(one)
        await stored.mark(index, whole=True)
        assert set(await stored.discover(index.tenant)) == {index, second}
        assert await stored.discover(others.tenant) == [others]
        assert not await stored.whole(second)
        assert not await stored.whole(others)

    async def test_dropped_it_is_missing_and_may_be_made_again(
        self, stored: BehaviourIndexes, index: BehaviourIndex
    ) -> None:
        await stored.open(index)
        await stored.upsert(index, ["a"], vectors((1.0, 0.0)))
        await stored.mark(index, whole=True)
        for _ in range(2):
            await stored.drop(index)
        assert await stored.discover(index.tenant) == []
        with pytest.raises(Unavailable):
            await stored.search(index, USER, 1)
        with pytest.raises(Unavailable):
            await stored.count(index)
        await stored.open(index)
        assert not await stored.whole(index)
        assert await stored.count(index) == 0
