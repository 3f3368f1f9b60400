"""Writes a batch of events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.profile.domain.event import SECOND_US, Event, Outcome, TimeLimits, Written
from services.profile.ports import Clock, EventStore
from shared.errors.base import Violation
from shared.errors.reasons import Reason
from shared.telemetry.metrics import LAG_BUCKETS, counter, histogram

EVENTS = counter("profile_events_total", "Events of written batches by outcome.", ("outcome",))
LAG = histogram(
    "profile_event_lag_seconds",
    "From the time of an event to its commit; from then on features hold it.",
    (),
    (*LAG_BUCKETS, 604_800.0),
)


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
        places: dict[str, list[int]] = {}
        rejected: list[Rejection] = []
        for index, event in events:
            if limit := self._limits.broken_by(event.time_us, now_us):
                rejected.append(_out_of_range(index, event.event_id, limit))
            else:
                unique.setdefault(event.event_id, event)
                places.setdefault(event.event_id, []).append(index)
        out_of_range = len(rejected)
        written = await self._store.write(tenant, list(unique.values())) if unique else ()
        for event, outcome in zip(unique.values(), written, strict=True):
            if outcome is Outcome.STORED:
                LAG.observe(max(0, self._clock() - event.time_us) / SECOND_US)
        outcomes = Counter(written)
        outcomes[Outcome.DUPLICATE] += len(events) - out_of_range - len(unique)
        for event_id, outcome in zip(unique, written, strict=True):
            if outcome is Outcome.ERASED:
                outcomes[Outcome.DUPLICATE] -= len(places[event_id]) - 1
                rejected.extend(_erased(index, event_id) for index in places[event_id])
        for outcome, count in outcomes.items():
            EVENTS.labels(outcome.value).inc(count)
        EVENTS.labels("out_of_range").inc(out_of_range)
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


def _erased(index: int, event_id: str) -> Rejection:
    """The rejection of a late event of somebody who was erased."""
    return Rejection(index, event_id, Reason.PERSON_ERASED, "the person was erased after this event happened")
