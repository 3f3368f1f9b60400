"""Places for calls that run, and a short queue for those that wait for one, by priority.

Less urgent calls may use only a part of the places, so they stop getting in first. The queue absorbs bursts, no more: a
call waits at most ``wait_seconds``, and a tenth of that once the queue has not been empty for as long (then the newest
goes first, because the oldest's caller is the likeliest to have given up): adaptive LIFO and controlled delay, Maurer,
"Fail at Scale", ACM Queue 13 (8), 2015.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from shared.context.priority import Priority

SHARES = {Priority.INTERACTIVE: 1.0, Priority.STANDARD: 0.9, Priority.BULK: 0.7, Priority.BACKGROUND: 0.5}
"""Part of all places up to which calls of a priority are let in."""
PATIENCE = {Priority.INTERACTIVE: 1.0, Priority.STANDARD: 2.0, Priority.BULK: 10.0, Priority.BACKGROUND: 10.0}
"""How much longer than an urgent call a less urgent one may wait: nobody looks at it."""
_STANDING_FACTOR = 0.1

Waiter = asyncio.Future[None]


class NoPlaceError(Exception):
    """No place became free in time."""


class Places:
    """Counts running calls against a limit that may change. For one event loop."""

    def __init__(
        self,
        limit: Callable[[], int],
        *,
        wait_seconds: float,
        longest_queue: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.running = 0
        self.waiting = 0
        self._limit = limit
        self._wait_seconds = wait_seconds
        self._longest_queue = longest_queue
        self._clock = clock
        self._waiting: dict[Priority, deque[Waiter]] = {priority: deque() for priority in Priority}
        self._empty_at = clock()

    async def enter(self, priority: Priority, most_seconds: float | None = None) -> float:
        """Takes a place and returns the seconds waited for it. Raises NoPlaceError after at most ``most_seconds``."""
        if not self.waiting and self._free(priority):  # nearly always: costs next to nothing
            self.running += 1
            return 0.0
        began = self._clock()
        if not self.waiting:
            self._empty_at = began
        elif not self._waits_before(priority) and self._free(priority):
            self.running += 1
            return 0.0
        if self.waiting >= self._longest_queue and not self._push_out(priority):
            raise NoPlaceError
        seconds = self._patience(priority, began)
        await self._wait(priority, seconds if most_seconds is None else min(seconds, most_seconds))
        return self._clock() - began

    def force(self) -> None:
        """Takes a place although there may be none."""
        self.running += 1

    def leave(self) -> None:
        """Gives a place back."""
        self.running -= 1
        self._fill()

    async def _wait(self, priority: Priority, seconds: float) -> None:
        """Returns with a place taken."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        queue = self._waiting[priority]
        queue.append(waiter)
        self.waiting += 1
        timer = asyncio.get_running_loop().call_later(max(seconds, 0.0), _give_up, waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.leave()  # the place came together with the end of the call
            raise
        finally:
            timer.cancel()
            if waiter in queue:
                queue.remove(waiter)
            self.waiting -= 1

    def _fill(self) -> None:
        """Lets in whoever is next, while there are places."""
        if not self.waiting:
            return
        standing = self._standing(self._clock())
        for priority, queue in self._waiting.items():
            while queue and self._free(priority):
                waiter = queue.pop() if standing else queue.popleft()
                if not waiter.done():
                    self.running += 1
                    waiter.set_result(None)
            if queue:
                return  # nobody passes a more urgent call
        self._empty_at = self._clock()

    def _free(self, priority: Priority) -> bool:
        return self.running < max(1.0, self._limit() * SHARES[priority])

    def _waits_before(self, priority: Priority) -> bool:
        return any(queue for other, queue in self._waiting.items() if other <= priority)

    def _push_out(self, priority: Priority) -> bool:
        """Ends the wait of the newest, least urgent call below ``priority``; whether there was one."""
        for other in reversed(Priority):
            if other <= priority:
                return False
            if queue := self._waiting[other]:
                _give_up(queue.pop())
                return True
        return False

    def _standing(self, now: float) -> bool:
        return now - self._empty_at > self._wait_seconds

    def _patience(self, priority: Priority, now: float) -> float:
        return self._wait_seconds * PATIENCE[priority] * (_STANDING_FACTOR if self._standing(now) else 1.0)


def _give_up(waiter: Waiter) -> None:
    if not waiter.done():
        waiter.set_exception(NoPlaceError())
