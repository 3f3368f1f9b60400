"""Waiting for an event and for the end of tasks, but not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_SECONDS = 0.5


async def happens(event: asyncio.Event, seconds: float) -> bool:
    """Whether an event is set within so many seconds.

    Cancelled together with the event, it is cancelled; `asyncio.wait_for` of Python 3.11 returns instead, and a loop
    around it goes on for ever.
    """
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels tasks and returns once they are over, whatever they ended with.

    They are cancelled again and again: psycopg's pool waits by `asyncio.wait_for` too, so that one cancellation may be
    lost in it.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)
        for task in done:
            if not task.cancelled():
                task.exception()  # looked at, so that nobody is told of it as never retrieved
