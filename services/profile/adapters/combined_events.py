"""Small writes that arrive together share a transaction: one commit for many callers instead of one each.

An idle service writes at once; nobody waits for company. While transactions run, later callers gather, and the
next transaction takes them all. Each caller still learns the outcome of its own events after the commit. Behind
transactions that make no progress nobody waits for long: what was not begun is refused.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import InterfaceError, OperationalError

from services.profile.domain.event import Event, Outcome
from services.profile.ports import EventState, EventStore
from shared.errors.base import MercatoError, Unavailable

_SMALL = 50
"""A request with more events has a transaction of its own."""
_MOST = 500
"""Events of a shared transaction."""
_PARALLEL = 2
"""Shared transactions of one tenant at a time."""
_STUCK_SECONDS = 1.0
"""A transaction that takes so long waits for a database that does not answer, and so does what comes after it."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    events: Sequence[Event]
    done: asyncio.Future[Sequence[Outcome]]


class CombinedEventStore(EventStore):
    """Another store with small writes combined."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._queues: defaultdict[str, deque[_Waiting]] = defaultdict(deque)
        self._workers: dict[str, dict[asyncio.Task[None], float]] = {}
        """When each began its transaction, on the loop's clock."""

    async def write(self, tenant: str, events: Sequence[Event]) -> Sequence[Outcome]:
        if len(events) > _SMALL:
            return await self._store.write(tenant, events)
        loop = asyncio.get_running_loop()
        workers = self._workers.setdefault(tenant, {})
        if len(workers) == _PARALLEL and loop.time() - max(workers.values()) > _STUCK_SECONDS:
            raise Unavailable("postgres")
        waiting = _Waiting(events, loop.create_future())
        self._queues[tenant].append(waiting)
        if len(workers) < _PARALLEL:
            workers[asyncio.create_task(self._work(tenant), name="combined writes")] = loop.time()
        try:
            await asyncio.wait([waiting.done], timeout=_STUCK_SECONDS)
        except asyncio.CancelledError:
            waiting.done.cancel()
            raise
        if not waiting.done.done() and any(one is waiting for one in self._queues.get(tenant, ())):
            waiting.done.cancel()  # not begun, and will not be
            raise Unavailable("postgres")
        return await waiting.done

    async def state(self, tenant: str) -> EventState:
        return await self._store.state(tenant)

    async def _work(self, tenant: str) -> None:
        """Writes until nobody of the tenant waits."""
        task = asyncio.current_task()
        assert task is not None
        try:
            while group := self._next_group(self._queues[tenant]):
                self._workers[tenant][task] = asyncio.get_running_loop().time()
                await self._write(tenant, group)
        finally:
            left = self._workers[tenant]
            del left[task]
            if not left:
                del self._workers[tenant]
                self._queues.pop(tenant, None)

    @staticmethod
    def _next_group(queue: deque[_Waiting]) -> list[_Waiting]:
        """Those who waited longest, with distinct event ids: a second writer of an id must meet a duplicate."""
        group: list[_Waiting] = []
        ids: set[str] = set()
        while queue:
            waiting = queue[0]
            own = {event.event_id for event in waiting.events}
            if group and (ids & own or len(ids) + len(own) > _MOST):
                break
            queue.popleft()
            if not waiting.done.done():  # its caller gave up
                group.append(waiting)
                ids |= own
        return group

    async def _write(self, tenant: str, group: Sequence[_Waiting]) -> None:
        """Writes a group; one caller's bad luck is not shared unless the database is gone for all."""
        try:
            outcomes = iter(await self._store.write(tenant, [event for waiting in group for event in waiting.events]))
        except (MercatoError, OperationalError, InterfaceError) as error:
            for waiting in group:
                _fail(waiting, error)
        except Exception as error:
            if len(group) == 1:
                _fail(group[0], error)
                return
            for waiting in group:
                await self._write(tenant, [waiting])
        else:
            for waiting in group:
                own = [next(outcomes) for _ in waiting.events]
                if not waiting.done.done():
                    waiting.done.set_result(own)


def _fail(waiting: _Waiting, error: Exception) -> None:
    """Hands ``error`` to the caller."""
    if not waiting.done.done():
        waiting.done.set_exception(error)
