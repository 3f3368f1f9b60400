"""Triton dies or hangs while a learned ranker orders: the blend orders in its place, and gives the place back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable

import pytest
from mercato.gateway.v1 import recommendation_pb2
from mercato.gateway.v1 import recommendation_service_pb2 as pb

from tests.e2e.conftest import Running
from tests.e2e.marked_release import SEED
from tests.e2e.marked_shop import A, serving, stored
from tests.e2e.shop import Shop, until
from tests.e2e.test_faults import Killer

DEADLINE_SECONDS = 2.0
"""Of every call: a later answer is raised as an error."""
PAUSED_SECONDS = 4.0
"""Longer than ranking leaves a ranker alone that failed, so that it is asked again while Triton hangs."""
AT_ONCE = 3
RANKER, BEHAVIOUR = recommendation_pb2.STAGE_LEARNED_RANKER, recommendation_pb2.STAGE_BEHAVIOUR


async def asked(shop: Shop) -> pb.RecommendResponse:
    """An answer in time, and checked: of the ranker whole, or of the blend, which then says so."""
    request = pb.RecommendRequest(user_id="user-1", page_size=12, explain=True)
    answer: pb.RecommendResponse = await shop.call(shop.recommendations.Recommend, request, timeout=DEADLINE_SECONDS)
    assert answer.results
    scores = [result.score for result in answer.results]
    missing = {stage.stage for stage in answer.missing_stages}
    assert missing <= {RANKER, BEHAVIOUR}, answer.missing_stages
    if RANKER not in missing:
        wanted = A.ranker if BEHAVIOUR in missing else A.score
        assert scores == pytest.approx([wanted] * len(scores), abs=1e-3)
        return answer
    assert scores == sorted(scores, reverse=True)
    for result in answer.results:  # the blend's contributions sum to the score; the ranker's do not
        assert sum(part.contribution for part in result.contributions) == pytest.approx(result.score, abs=1e-6)
    assert answer.results[0].product.product_id == SEED, "what was bought before; the ranker finds all alike"
    return answer


async def missing(shop: Shop) -> list[set[int]]:
    """The missing stages of some answers at once."""
    answers = await asyncio.gather(*(asked(shop) for _ in range(AT_ONCE)))
    return [{stage.stage for stage in answer.missing_stages} for answer in answers]


def by_the_blend(shop: Shop) -> Callable[[], Awaitable[bool]]:
    async def degraded() -> bool:
        return all(RANKER in stages for stages in await missing(shop))

    return degraded


def by_the_ranker(shop: Shop) -> Callable[[], Awaitable[bool]]:
    async def whole() -> bool:
        return not any(await missing(shop))

    return whole


async def until_asked(condition: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """As `until`, but an error of a call fails the test."""
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, "the order did not change in time"


async def test_the_blend_orders_while_triton_is_dead(running: Running, shop: Shop) -> None:
    async with stored(running, shop) as marks:
        await until(serving(shop, next(iter(marks))))
        killer = Killer(running, "triton")
        killer.kill()
        await until_asked(by_the_blend(shop), 10)
        await until_asked(by_the_ranker(shop), 90)
        await killer.back()


async def test_the_blend_orders_while_triton_hangs(running: Running, shop: Shop) -> None:
    async with stored(running, shop) as marks:
        await until(serving(shop, next(iter(marks))))
        pid = running.suite.suite.unit("triton").pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            await until_asked(by_the_blend(shop), 10)
            end = time.monotonic() + PAUSED_SECONDS
            while time.monotonic() < end:
                assert await by_the_blend(shop)()
        finally:
            os.kill(pid, signal.SIGCONT)
        await until_asked(by_the_ranker(shop), 30)
        assert running.suite.suite.unit("triton").pid == pid, "it was not restarted"
