"""Wakes the index workers of this process."""

from __future__ import annotations

import asyncio

from shared.context.waiting import happens


class Waker:
    """A signal that several workers wait for."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Says that there is work."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Returns at the next wake, or after `seconds`."""
        await happens(self._event, seconds)
