"""Hedged reads: a read that takes longer than nearly all before it is asked a second time, of another replica.

The first answer counts and the other call is cancelled (Dean and Barroso, "The Tail at Scale", CACM 56 (2), 2013).
A budget keeps this to a few calls in a hundred, so that a peer that is slow for all is not asked twice as much.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from shared.context.priority import Priority
from shared.server.limits.classes import class_of
from shared.telemetry.metrics import counter

T = TypeVar("T")
READING = ("Get", "BatchGet", "List", "Find", "Search", "Similar", "Compare", "Encode", "Rank")
"""What the names of reads begin with; what their class makes bulk work is not hedged."""
_KEPT, _LEAST, _EVERY = 200, 20, 16
"""Latencies kept a method, those needed before hedging, and after how many the quantile is taken again."""
_QUANTILE = 0.95
_MOST_TOKENS = 10.0

_hedges = counter(
    "client_hedges_total", "Second requests by which of the two answered.", ("peer", "method", "answered")
)


class _Latencies:
    """Recent latencies of one method, and their 95th percentile."""

    __slots__ = ("_recent", "_since", "late")

    def __init__(self) -> None:
        self.late: float | None = None
        self._recent: deque[float] = deque(maxlen=_KEPT)
        self._since = 0

    def add(self, seconds: float) -> None:
        self._recent.append(seconds)
        self._since += 1
        if self._since >= _EVERY and len(self._recent) >= _LEAST:
            self._since = 0
            self.late = sorted(self._recent)[int(len(self._recent) * _QUANTILE)]


class Hedging:
    """Decides when a read is asked a second time."""

    def __init__(self, peer: str, share: float) -> None:
        self._peer = peer
        self._share = share
        self._tokens = 0.0
        self._latencies: dict[str, _Latencies] = {}

    def hedges(self, method: str) -> bool:
        """Whether calls of ``/package.Service/Method`` may be hedged."""
        return self._share > 0 and method.rpartition("/")[2].startswith(READING) and class_of(method) < Priority.BULK

    async def first(self, method: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The first good answer of one or two calls made by ``ask``; the loser is cancelled.

        An error that comes before the second call is made, or from both, is raised.
        """
        latencies = self._latencies.setdefault(method, _Latencies())
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._tokens = min(_MOST_TOKENS, self._tokens + self._share)
        calls = [asyncio.ensure_future(ask())]
        try:
            if latencies.late is not None:
                await asyncio.wait(calls, timeout=latencies.late)
                if not calls[0].done() and self._tokens >= 1.0:
                    self._tokens -= 1.0
                    calls.append(asyncio.ensure_future(ask()))
            winner = await _first_good(calls)
        finally:
            for call in calls:
                call.cancel()
        if len(calls) > 1:
            _hedges.labels(self._peer, method, "first" if winner is calls[0] else "second").inc()
        answer = winner.result()
        latencies.add(loop.time() - began)
        return answer


async def _first_good(calls: Sequence[asyncio.Future[T]]) -> asyncio.Future[T]:
    """The call that succeeded first, or the last one that failed."""
    waiting: set[asyncio.Future[T]] = set(calls)
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        good = [call for call in done if call.exception() is None]
        if good or not waiting:
            return (good or list(done))[0]
