"""Waiting ends with the event, with the time, and with a cancellation whenever that comes."""

import asyncio

import pytest

from shared.context.waiting import end, happens


async def test_it_says_whether_the_event_came() -> None:
    event = asyncio.Event()
    assert not await happens(event, 0.0)
    event.set()
    assert await happens(event, 10.0)


@pytest.mark.parametrize("steps", range(5))
async def test_a_cancellation_that_meets_the_event_is_not_lost(steps: int) -> None:
    event = asyncio.Event()

    async def work() -> None:
        while True:
            await happens(event, 60.0)
            event.clear()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    event.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=5)
    assert done, "the loop goes on"


async def test_tasks_end_although_something_in_them_loses_a_cancellation() -> None:
    async def deaf() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    async def failing() -> None:
        raise ValueError

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(failing())]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await end(tasks)
    assert all(task.done() for task in tasks)
    await end([])
