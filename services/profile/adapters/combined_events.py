"""Small writes that arrive together share a transaction: one commit for many callers instead of one each.

An idle service writes at once; nobody waits for company. While transactions run, later callers gather, and the
next transaction takes them all. Each caller still learns the outcome of its own events after the commit.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import InterfaceError, OperationalError

from services.profile.domain.event import Event, Outcome
from services.profile.ports import EventState, EventStore
from shared.errors.base import MercatoError

_SMALL = 50
"""A request with more events has a transaction of its own."""
_MOST = 500
"""Events of a shared transaction."""
_PARALLEL = 2
"""Shared transactions of one tenant at a time."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    events: Sequence[Event]
    done: asyncio.Future[Sequence[Outcome]]


class CombinedEventStore(EventStore):
    """Another store with small writes combined."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._queues: defaultdict[str, deque[_Waiting]] = defaultdict(deque)
        self._workers: dict[str, set[asyncio.Task[None]]] = {}

    async def write(self, tenant: str, events: Sequence[Event]) -> Sequence[Outcome]:
        if len(events) > _SMALL:
            return await self._store.write(tenant, events)
        waiting = _Waiting(events, asyncio.get_running_loop().create_future())
        self._queues[tenant].append(waiting)
        workers = self._workers.setdefault(tenant, set())
        if len(workers) < _PARALLEL:
            workers.add(asyncio.create_task(self._work(tenant), name="combined writes"))
        return await waiting.done

    async def state(self, tenant: str) -> EventState:
        return await self._store.state(tenant)

    async def _work(self, tenant: str) -> None:
        """Writes until nobody of the tenant waits."""
        try:
            while group := self._next_group(self._queues[tenant]):
                await self._write(tenant, group)
        finally:
            task = asyncio.current_task()
            left = self._workers[tenant]
            left.discard(task)
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
