"""Waiting for an event, but not for ever."""

from __future__ import annotations

import asyncio


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
