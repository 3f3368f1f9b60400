"""Second requests for reads that seem stuck."""

import asyncio
from typing import Any

import pytest

from shared.client.hedging import Hedging

METHOD = "/mercato.catalog.v1.CatalogService/BatchGetProducts"


async def quick() -> str:
    return "quick"


async def known(hedging: Hedging, calls: int = 60) -> None:
    """Makes enough quick calls for a quantile and a budget."""
    for _ in range(calls):
        await hedging.first(METHOD, quick)


class Answers:
    """Answers each call with what is next: a value, an error, or nothing ever."""

    def __init__(self, *answers: Any) -> None:
        self.left = list(answers)
        self.cancelled = 0

    async def __call__(self) -> str:
        answer = self.left.pop(0)
        if answer is None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if isinstance(answer, Exception):
            raise answer
        return str(answer)


async def test_a_stuck_read_is_asked_again_and_cancelled() -> None:
    hedging = Hedging("catalog", 0.1)
    await known(hedging)
    answers = Answers(None, "second")
    assert await hedging.first(METHOD, answers) == "second"
    await asyncio.sleep(0)
    assert answers.cancelled == 1


async def test_an_error_before_the_second_call_is_raised_at_once() -> None:
    hedging = Hedging("catalog", 0.1)
    await known(hedging)
    answers = Answers(ValueError("wrong"), "second")
    with pytest.raises(ValueError, match="wrong"):
        await hedging.first(METHOD, answers)
    assert answers.left == ["second"]


async def test_an_error_of_the_second_call_waits_for_the_first() -> None:
    hedging = Hedging("catalog", 0.1)
    await known(hedging)
    leave = asyncio.Event()
    calls = 0

    async def ask() -> str:
        nonlocal calls
        calls += 1
        if calls == 2:
            leave.set()
            raise ConnectionError
        await leave.wait()
        return "first"

    assert await hedging.first(METHOD, ask) == "first"


async def test_the_budget_bounds_second_calls() -> None:
    hedging = Hedging("catalog", 0.02)
    await known(hedging, 100)  # two tokens
    second = 0

    async def ask() -> str:
        nonlocal second
        second += 1
        await asyncio.sleep(0.001)
        return "late"

    for _ in range(20):
        await hedging.first(METHOD, ask)
    assert second - 20 <= 2


async def test_cancelling_the_call_cancels_both() -> None:
    hedging = Hedging("catalog", 0.1)
    await known(hedging)
    answers = Answers(None, None)
    call = asyncio.create_task(hedging.first(METHOD, answers))
    async with asyncio.timeout(5):
        while answers.left:
            await asyncio.sleep(0.001)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    async with asyncio.timeout(5):
        while answers.cancelled < 2:
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("method", "hedged"),
    [
        ("GetProduct", True),
        ("FindCandidates", True),
        ("WriteUserEvents", False),
        ("EncodeProducts", False),
        ("UpdateOffers", False),
    ],
)
def test_only_reads_are_hedged(method: str, hedged: bool) -> None:
    assert Hedging("catalog", 0.02).hedges(f"/mercato.v1.Service/{method}") is hedged
    assert not Hedging("catalog", 0.0).hedges(f"/mercato.v1.Service/{method}")
