"""Writes a batch of events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.profile.domain.event import Event, Outcome, TimeLimits, Written
from services.profile.ports import Clock, EventStore
from shared.errors.base import Violation
from shared.errors.reasons import Reason
from shared.telemetry.metrics import counter

EVENTS = counter("profile_events_total", "Events of written batches by outcome.", ("outcome",))


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event that was not stored: its position in the batch and why."""

    index: int
    event_id: str
    reason: Reason
    message: str
    violations: tuple[Violation, ...] = ()


class WriteEvents:
    """Stores the good events of a batch; says what became of each kind."""

    def __init__(self, store: EventStore, limits: TimeLimits, clock: Clock) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock

    async def __call__(self, tenant: str, events: Sequence[tuple[int, Event]]) -> tuple[Written, list[Rejection]]:
        """``events`` are valid, each with its position in the batch. Returns when they are committed."""
        now_us = self._clock()
        unique: dict[str, Event] = {}
        rejected: list[Rejection] = []
        for index, event in events:
            if limit := self._limits.broken_by(event.time_us, now_us):
                rejected.append(_out_of_range(index, event.event_id, limit))
            else:
                unique.setdefault(event.event_id, event)
        outcomes = Counter(await self._store.write(tenant, list(unique.values())) if unique else ())
        outcomes[Outcome.DUPLICATE] += len(events) - len(rejected) - len(unique)
        for outcome, count in outcomes.items():
            EVENTS.labels(outcome.value).inc(count)
        EVENTS.labels("out_of_range").inc(len(rejected))
        quarantined = outcomes[Outcome.QUARANTINED]
        return Written(outcomes[Outcome.STORED] + quarantined, outcomes[Outcome.DUPLICATE], quarantined), rejected


def _out_of_range(index: int, event_id: str, limit: str) -> Rejection:
    """The rejection for a time beyond ``limit``."""
    description = f"must not be more than {limit}"
    return Rejection(
        index,
        event_id,
        Reason.EVENT_TIME_OUT_OF_RANGE,
        f"event_time {description}",
        (Violation("event_time", description, "event_time.range"),),
    )
