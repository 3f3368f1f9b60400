"""Releases change under load: no request fails, and no answer mixes two."""

from __future__ import annotations

import asyncio

import pytest
from mercato.gateway.v1 import operations_service_pb2 as operations
from mercato.gateway.v1 import recommendation_pb2
from mercato.gateway.v1 import recommendation_service_pb2 as pb

from tests.e2e.conftest import Running
from tests.e2e.marked_release import SEED, Mark
from tests.e2e.marked_shop import promote, serving, stored
from tests.e2e.shop import Shop, purchase, until

CALLERS, FLIPS = 6, 6
ROLLBACK_SECONDS = 10.0


def check(answer: pb.RecommendResponse, marks: dict[str, Mark]) -> None:
    """Everything in the answer comes from the release that it names."""
    mark = marks[answer.release_id]
    assert not answer.missing_stages
    assert answer.results
    for result in answer.results:
        assert result.score == pytest.approx(mark.score, abs=1e-3), f"{answer.release_id} {result.product.product_id}"
        if recommendation_pb2.CHANNEL_BOUGHT_TOGETHER in result.channels:
            assert result.product.product_id.startswith(mark.letter)


async def test_promotion_under_load_fails_no_request_and_mixes_no_answer(running: Running, shop: Shop) -> None:
    async with stored(running, shop) as marks:
        first, second = marks
        await until(serving(shop, first))
        answers: list[pb.RecommendResponse] = []
        ended = asyncio.Event()

        async def caller() -> None:
            while not ended.is_set():
                answers.append(await shop.recommend("user-1", page_size=12))

        callers = [asyncio.create_task(caller()) for _ in range(CALLERS)]
        for flip in range(FLIPS):
            wanted = first if flip % 2 else second
            await promote(shop, wanted)
            await until(serving(shop, wanted))
        ended.set()
        await asyncio.gather(*callers)  # a failed request would be raised here
        for answer in answers:
            check(answer, marks)
        assert {answer.release_id for answer in answers} == set(marks)


async def test_rollback_takes_seconds(running: Running, shop: Shop) -> None:
    async with stored(running, shop) as marks:
        first, second = marks
        await until(serving(shop, first))
        await promote(shop, second)
        await until(serving(shop, second))
        back = await shop.call(shop.operations.RollbackRelease, operations.RollbackReleaseRequest())
        assert back.release.release_id == first
        await until(serving(shop, first), ROLLBACK_SECONDS)


async def test_a_canary_answers_its_share_of_people_always_the_same_ones(running: Running, shop: Shop) -> None:
    async with stored(running, shop) as marks:
        first, second = marks
        await until(serving(shop, first))
        await shop.write([purchase(f"buy-{n}", f"user-{n}", [SEED], 3.0) for n in range(2, 42)])
        request = operations.StartRolloutRequest(release_id=second, mode=operations.ROLLOUT_MODE_CANARY, share=0.5)
        assert (await shop.call(shop.operations.StartRollout, request)).rollout.running

        async def by_release() -> dict[str, set[str]]:
            found: dict[str, set[str]] = {release_id: set() for release_id in marks}
            for number in range(1, 42):
                answer = await shop.recommend(f"user-{number}")
                check(answer, marks)
                found[answer.release_id].add(f"user-{number}")
            return found

        async def both() -> bool:
            return len((await by_release())[second]) > 0

        await until(both)
        groups = await by_release()
        assert 8 <= len(groups[second]) <= 33  # of 41; half of them by a hash
        assert await by_release() == groups
        await shop.call(shop.operations.StopRollout, operations.StopRolloutRequest())

        async def nobody() -> bool:
            return not (await by_release())[second]

        await until(nobody)
        assert not (await shop.call(shop.operations.GetRollout, operations.GetRolloutRequest())).rollout.running


async def test_a_shadow_is_computed_and_never_shown(running: Running, shop: Shop) -> None:
    async with stored(running, shop) as marks:
        first, second = marks
        await until(serving(shop, first))
        request = operations.StartRolloutRequest(release_id=second, mode=operations.ROLLOUT_MODE_SHADOW, share=1.0)
        await shop.call(shop.operations.StartRollout, request)
        for _ in range(20):
            answer = await shop.recommend("user-1")
            check(answer, marks)
            assert answer.release_id == first
