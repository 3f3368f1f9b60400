"""Admission: refuses a call early when there is too much to do, the least urgent first, and queues none to death."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from shared.context.priority import LABELS, PRIORITY_METADATA, Priority, current_priority, set_priority
from shared.errors.base import DeadlineExceeded, InvalidArgument, ResourceExhausted, Violation
from shared.errors.mapping import from_exception
from shared.errors.reasons import Reason
from shared.server.interceptors.handler import Context, Rpc, RpcInterceptor, metadata_value
from shared.server.limits.classes import class_of
from shared.server.limits.places import NoPlaceError, Places
from shared.telemetry.metrics import counter, gauge, histogram

_RETRY_AFTER_SECONDS = {
    Priority.INTERACTIVE: 0.5,
    Priority.STANDARD: 1.0,
    Priority.BULK: 3.0,
    Priority.BACKGROUND: 10.0,
}
_LONGEST_PAUSE_SECONDS = 2.0
"""A batch of a stream waits this long for a place at most, then goes on: an import is slowed down, never broken off."""
_PAUSE_SECONDS = 0.05

_shed = counter("server_shed_total", "Calls refused because there was too much to do.", ["priority"])
_queued = histogram("server_queue_seconds", "Wait of admitted calls for a place.", ["priority"])
_limit = gauge("server_concurrency_limit", "Calls that may run at once now.")
_running = gauge("server_places_taken", "Calls that hold a place; long streams hold one only while they work.")


class Limit(Protocol):
    """How many calls may run at once."""

    method_share: float
    """Part of them that calls of one method may be."""

    @property
    def limit(self) -> int:
        """The number now."""

    def sample(self, method: str, seconds: float, in_flight: int) -> None:
        """A call ended well."""

    def dropped(self) -> None:
        """A call ran out of time or met an overloaded peer."""


class AdmissionInterceptor(RpcInterceptor):
    """RESOURCE_EXHAUSTED, reason OVERLOADED, with a delay, for a call that gets no place; sets ``current_priority()``.

    A call with one request that a person waits for holds a place until it ends. A stream of requests holds one while
    each of its messages is worked on. Long answers (exports, trainings, watches) only ask for one when they begin.
    """

    def __init__(self, limit: Limit, *, wait_seconds: float, most_calls: int) -> None:
        super().__init__()
        self._adaptive = limit
        self._places = Places(
            lambda: limit.limit,
            wait_seconds=wait_seconds,
            longest_queue=most_calls,
            method_share=limit.method_share,
        )
        self._most_streams = most_calls
        self._streams = 0
        self._queued = {priority: _queued.labels(priority.label) for priority in Priority}
        self._shed = {priority: _shed.labels(priority.label) for priority in Priority}
        _limit.set_function(lambda: limit.limit)
        _running.set_function(lambda: self._places.running)

    @asynccontextmanager
    async def around(self, rpc: Rpc, context: Context) -> AsyncIterator[None]:
        priority = _priority_of(rpc, context)
        set_priority(priority)
        if rpc.request_streaming:
            async with self._counted(priority):
                yield
            return
        await self._enter(rpc, priority, context)
        if rpc.unary or class_of(rpc.method) is Priority.INTERACTIVE:
            async with self._measured(rpc, context):
                yield
            return
        self._places.leave(rpc.method)
        async with self._counted(priority):
            yield

    def incoming(self, rpc: Rpc, request: Any) -> Any:
        return self._paced(rpc.method, request) if rpc.request_streaming else request

    @asynccontextmanager
    async def _counted(self, priority: Priority) -> AsyncIterator[None]:
        """Bounds the number of long streams. Raises ResourceExhausted."""
        if self._streams >= self._most_streams:
            raise self._overloaded(priority, self._most_streams)
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    @asynccontextmanager
    async def _measured(self, rpc: Rpc, context: Context) -> AsyncIterator[None]:
        """Gives the place back, and tells the limit how it went."""
        began = time.perf_counter()
        try:
            yield
            self._adaptive.sample(rpc.method, time.perf_counter() - began, self._places.running)
        except asyncio.CancelledError:
            remaining = context.time_remaining()
            if remaining is not None and remaining <= 0:
                self._adaptive.dropped()
            raise
        except Exception as error:
            if isinstance(from_exception(error), ResourceExhausted | DeadlineExceeded):
                self._adaptive.dropped()
            raise
        finally:
            self._places.leave(rpc.method)

    async def _enter(self, rpc: Rpc, priority: Priority, context: Context) -> None:
        """Takes a place. Raises ResourceExhausted."""
        try:
            waited = await self._places.enter(priority, rpc.method, context.time_remaining())
        except NoPlaceError:
            raise self._overloaded(priority, self._adaptive.limit) from None
        self._queued[priority].observe(waited)

    async def _paced(self, method: str, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The messages of a request stream, each with a place for as long as it is worked on."""
        priority = current_priority() or Priority.BULK
        async for request in requests:
            began = time.monotonic()
            while True:
                left = _LONGEST_PAUSE_SECONDS - (time.monotonic() - began)
                try:
                    await self._places.enter(priority, method, left)
                except NoPlaceError:
                    if left > 0:
                        await asyncio.sleep(min(left, _PAUSE_SECONDS))
                        continue
                    self._places.force(method)
                break
            self._queued[priority].observe(time.monotonic() - began)
            try:
                yield request
            finally:
                self._places.leave(method)

    def _overloaded(self, priority: Priority, limit: int) -> ResourceExhausted:
        self._shed[priority].inc()
        return ResourceExhausted(
            f"overloaded: {limit} calls are in flight",
            # Spread, so that those refused together do not come back together.
            retry_after_seconds=_RETRY_AFTER_SECONDS[priority] * random.uniform(0.5, 1.5),  # noqa: S311
            reason=Reason.OVERLOADED,
            metadata={"limit": str(limit), "priority": priority.label},
        )


def _priority_of(rpc: Rpc, context: Context) -> Priority:
    """The less urgent of the method's class and the caller's wish. Raises InvalidArgument."""
    wish = metadata_value(context, PRIORITY_METADATA)
    most = class_of(rpc.method)
    if not wish:
        return most
    if wish not in LABELS:
        rule = f"must be one of {', '.join(LABELS)}"
        raise InvalidArgument([Violation(PRIORITY_METADATA, rule, "priority.known")], metadata={"priority": wish})
    return max(most, LABELS[wish])
