import asyncio

from shared.server import background
from shared.server.background import running


async def test_tasks_run_and_are_cancelled() -> None:
    entered, cancelled = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with running({"work": work}):
        await asyncio.wait_for(entered.wait(), 5)
        assert not cancelled.is_set()
    assert cancelled.is_set()


async def test_a_task_that_fails_is_started_again(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(background, "_FIRST_PAUSE_SECONDS", 0.0)
    runs, third = 0, asyncio.Event()

    async def fail() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            third.set()
            await asyncio.Event().wait()
        raise RuntimeError("bad item")

    async with running({"fail": fail}):
        await asyncio.wait_for(third.wait(), 5)


async def test_a_task_that_returns_is_done() -> None:
    runs = 0

    async def once() -> None:
        nonlocal runs
        runs += 1

    async with running({"once": once}):
        for _ in range(10):
            await asyncio.sleep(0)
    assert runs == 1
