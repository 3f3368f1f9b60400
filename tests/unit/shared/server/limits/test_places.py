"""Places and the queue for them."""

import asyncio

import pytest

from shared.context.priority import Priority
from shared.server.limits.places import NoPlaceError, Places

FAR = 60.0


def places(limit: int, *, wait: float = FAR, queue: int = 10) -> Places:
    return Places(lambda: limit, wait_seconds=wait, longest_queue=queue)


async def queued(place: Places, priority: Priority) -> "asyncio.Task[float]":
    """A call that waits for a place."""
    before = place.waiting
    task = asyncio.create_task(place.enter(priority))
    async with asyncio.timeout(5):
        while place.waiting == before:
            await asyncio.sleep(0)
    return task


async def test_less_urgent_calls_leave_places_free() -> None:
    place = places(10, wait=0.0)
    for priority, runs in ((Priority.BACKGROUND, 5), (Priority.BULK, 7), (Priority.STANDARD, 9)):
        while place.running < runs:
            await place.enter(priority)
        with pytest.raises(NoPlaceError):
            await place.enter(priority)
    await place.enter(Priority.INTERACTIVE)
    assert place.running == 10


async def test_the_most_urgent_waiting_call_is_next() -> None:
    place = places(1)
    await place.enter(Priority.INTERACTIVE)
    report = await queued(place, Priority.BACKGROUND)
    shopper = await queued(place, Priority.INTERACTIVE)
    place.leave()
    await shopper
    assert not report.done()
    place.leave()
    await report


async def test_a_full_queue_pushes_out_the_least_urgent() -> None:
    place = places(1, queue=2)
    await place.enter(Priority.INTERACTIVE)
    bulk, report = await queued(place, Priority.BULK), await queued(place, Priority.BACKGROUND)
    shopper = asyncio.create_task(place.enter(Priority.INTERACTIVE))
    with pytest.raises(NoPlaceError):
        await report
    with pytest.raises(NoPlaceError):  # nobody less urgent is left to push out
        await place.enter(Priority.BULK)
    place.leave()
    await shopper
    place.leave()
    await bulk


async def test_a_standing_queue_serves_the_newest_first() -> None:
    now = 0.0
    place = Places(lambda: 1, wait_seconds=FAR, longest_queue=10, clock=lambda: now)
    await place.enter(Priority.INTERACTIVE)
    old, new = await queued(place, Priority.INTERACTIVE), await queued(place, Priority.INTERACTIVE)
    now = 2 * FAR
    place.leave()
    await new
    assert not old.done()
    place.leave()
    await old


async def test_a_call_given_up_while_it_waits_takes_no_place() -> None:
    place = places(1)
    await place.enter(Priority.INTERACTIVE)
    waiting = await queued(place, Priority.INTERACTIVE)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    place.leave()
    assert (place.running, place.waiting) == (0, 0)


async def test_a_place_that_comes_with_the_end_of_the_call_is_given_back() -> None:
    place = places(1)
    await place.enter(Priority.INTERACTIVE)
    waiting = await queued(place, Priority.INTERACTIVE)
    place.leave()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert place.running == 0


async def test_waiting_ends() -> None:
    place = places(1, wait=0.01)
    await place.enter(Priority.INTERACTIVE)
    with pytest.raises(NoPlaceError):
        await place.enter(Priority.INTERACTIVE)
    assert place.waiting == 0


async def test_one_method_leaves_places_for_others() -> None:
    place = Places(lambda: 4, wait_seconds=FAR, longest_queue=10, method_share=0.5)
    for _ in range(2):
        await place.enter(Priority.INTERACTIVE, "Search")
    slow = asyncio.create_task(place.enter(Priority.INTERACTIVE, "Search"))
    async with asyncio.timeout(5):
        while not place.waiting:
            await asyncio.sleep(0)
    for _ in range(2):
        await place.enter(Priority.INTERACTIVE, "GetProduct")
    place.leave("GetProduct")
    assert not slow.done()
    place.leave("Search")
    await slow
    assert place.running == 3
