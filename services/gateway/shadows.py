"""Answers of a release in the shadow, compared with what was shown. Nobody waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import copy_context

from mercato.gateway.v1 import recommendation_service_pb2 as pb

from shared.errors.base import MercatoError
from shared.telemetry.metrics import counter, histogram

AT_ONCE = 4
"""Shadows under way; what comes then is not compared, so that they take no room from real requests."""
HEAD = 10
OVERLAP = histogram(
    "gateway_shadow_overlap",
    "Share of the first ten products that the release in the shadow shows too.",
    (),
    tuple(step / 10 for step in range(11)),
)
OUTCOMES = counter("gateway_shadows_total", "Requests compared with a release in the shadow.", ("outcome",))


class Shadows:
    """Comparisons under way."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def compare(self, shown: pb.RecommendResponse, start: Callable[[], Awaitable[pb.RecommendResponse]]) -> None:
        """Begins a comparison, unless enough are under way."""
        if len(self._running) >= AT_ONCE:
            OUTCOMES.labels("skipped").inc()
            return
        task = asyncio.create_task(_compare(shown, start), context=copy_context())
        self._running.add(task)
        task.add_done_callback(self._running.discard)


async def _compare(shown: pb.RecommendResponse, start: Callable[[], Awaitable[pb.RecommendResponse]]) -> None:
    try:
        other = await start()
    except MercatoError:
        OUTCOMES.labels("failed").inc()
        return
    OVERLAP.observe(overlap(_head(shown), _head(other)))
    OUTCOMES.labels("missing stages" if other.missing_stages else "complete").inc()


def overlap(shown: list[str], other: list[str]) -> float:
    """Share of the first list's products that the second has too; 1 for two empty lists.

    >>> overlap(["a", "b"], ["b", "c"])
    0.5
    """
    return len(set(shown) & set(other)) / len(shown) if shown else float(not other)


def _head(answer: pb.RecommendResponse) -> list[str]:
    return [result.product.product_id for result in answer.results[:HEAD]]
