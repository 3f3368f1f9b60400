"""Places for calls that run, and a short queue for those that wait for one, by priority.

Less urgent calls may use only a part of the places, so they stop getting in first; so may calls of one method, so that
one that is slow leaves room for the others. The queue absorbs bursts, no more: a
call waits at most ``wait_seconds``, and a tenth of that once the queue has not been empty for as long (then the newest
goes first, because the oldest's caller is the likeliest to have given up): adaptive LIFO and controlled delay, Maurer,
"Fail at Scale", ACM Queue 13 (8), 2015.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from shared.context.priority import Priority

SHARES = {Priority.INTERACTIVE: 1.0, Priority.STANDARD: 0.9, Priority.BULK: 0.7, Priority.BACKGROUND: 0.5}
"""Part of all places up to which calls of a priority are let in."""
PATIENCE = {Priority.INTERACTIVE: 1.0, Priority.STANDARD: 2.0, Priority.BULK: 10.0, Priority.BACKGROUND: 10.0}
"""How much longer than an urgent call a less urgent one may wait: nobody looks at it."""
_STANDING_FACTOR = 0.1


@dataclass(slots=True, eq=False)
class _Waiter:
    """A call in the queue."""

    method: str
    place: asyncio.Future[None]

    def give_up(self) -> None:
        """Ends the wait without a place."""
        if not self.place.done():
            self.place.set_exception(NoPlaceError())


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
        method_share: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.running = 0
        self.waiting = 0
        self._limit = limit
        self._wait_seconds = wait_seconds
        self._longest_queue = longest_queue
        self._method_share = method_share
        self._by_method: Counter[str] = Counter()
        self._clock = clock
        self._waiting: dict[Priority, deque[_Waiter]] = {priority: deque() for priority in Priority}
        self._empty_at = clock()

    async def enter(self, priority: Priority, method: str = "", most_seconds: float | None = None) -> float:
        """Takes a place and returns the seconds waited for it. Raises NoPlaceError after at most ``most_seconds``."""
        if self._free(priority, method) and not (self.waiting and self._waits_before(priority, method)):
            self._take(method)
            return 0.0
        began = self._clock()
        if not self.waiting:
            self._empty_at = began
        if self.waiting >= self._longest_queue and not self._push_out(priority):
            raise NoPlaceError
        seconds = self._patience(priority, began)
        await self._wait(priority, method, seconds if most_seconds is None else min(seconds, most_seconds))
        return self._clock() - began

    def force(self, method: str = "") -> None:
        """Takes a place although there may be none."""
        self._take(method)

    def leave(self, method: str = "") -> None:
        """Gives a place back."""
        self.running -= 1
        self._by_method[method] -= 1
        if self.waiting:
            self._fill()

    def _take(self, method: str) -> None:
        self.running += 1
        self._by_method[method] += 1

    async def _wait(self, priority: Priority, method: str, seconds: float) -> None:
        """Returns with a place taken."""
        loop = asyncio.get_running_loop()
        waiter = _Waiter(method, loop.create_future())
        queue = self._waiting[priority]
        queue.append(waiter)
        self.waiting += 1
        timer = loop.call_later(max(seconds, 0.0), waiter.give_up)
        try:
            await waiter.place
        except asyncio.CancelledError:
            place = waiter.place
            if place.done() and not place.cancelled() and place.exception() is None:
                self.leave(method)  # the place came together with the end of the call
            raise
        finally:
            timer.cancel()
            if waiter in queue:
                queue.remove(waiter)
            self.waiting -= 1

    def _fill(self) -> None:
        """Lets in whoever is next, while there are places."""
        standing = self._standing(self._clock())
        for priority, queue in self._waiting.items():
            for waiter in list(reversed(queue) if standing else queue):
                if self._free(priority, waiter.method):
                    queue.remove(waiter)
                    if not waiter.place.done():
                        self._take(waiter.method)
                        waiter.place.set_result(None)
                elif not self._room(priority):
                    return  # nobody passes a more urgent call
        if not any(self._waiting.values()):
            self._empty_at = self._clock()

    def _free(self, priority: Priority, method: str) -> bool:
        if not self._room(priority):
            return False
        return self._method_share >= 1.0 or self._by_method[method] < max(1.0, self._limit() * self._method_share)

    def _room(self, priority: Priority) -> bool:
        return self.running < max(1.0, self._limit() * SHARES[priority])

    def _waits_before(self, priority: Priority, method: str) -> bool:
        """Whether a call waits that this one would overtake; one that waits for its own method's places is none."""
        return any(
            self._free(other, waiter.method) or waiter.method == method
            for other, queue in self._waiting.items()
            if other <= priority
            for waiter in queue
        )

    def _push_out(self, priority: Priority) -> bool:
        """Ends the wait of the newest, least urgent call below ``priority``; whether there was one."""
        for other in reversed(Priority):
            if other <= priority:
                return False
            if queue := self._waiting[other]:
                queue.pop().give_up()
                return True
        return False

    def _standing(self, now: float) -> bool:
        return now - self._empty_at > self._wait_seconds

    def _patience(self, priority: Priority, now: float) -> float:
        return self._wait_seconds * PATIENCE[priority] * (_STANDING_FACTOR if self._standing(now) else 1.0)
