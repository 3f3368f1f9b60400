"""When the trainer learns by itself, and how."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from services.trainer.datasets.events import EventChunk
from services.trainer.domain import DRIFT, Artifact, Metric, Progress, Release, TrainingKind
from services.trainer.learning.interactions import EventKind
from services.trainer.schedule import Schedule, SchedulePolicy, kind_after
from tests.fakes.trainer.event_rows import NOW_S, Row, chunk

HOUR = 3600


def release(*names: str, made_s: int = NOW_S, drift: float = 0.0) -> Release:
    return Release(
        release_id="r1",
        create_time=datetime.fromtimestamp(made_s, UTC),
        current=True,
        data_end_time=datetime.fromtimestamp(made_s, UTC),
        purchase_count=1,
        user_count=1,
        product_count=1,
        pair_count=0,
        artifacts=tuple(Artifact(name, "", 0) for name in names),
        metrics=(Metric(DRIFT, "own_rate", "release", drift, drift, drift, 9),),
    )


class Releases:
    """One release of one shop."""

    def __init__(self, newest: Release) -> None:
        self.newest = newest

    async def lineups(self) -> dict[str, object]:
        return {"shop": self.newest}

    async def list_before(self, tenant: str, before: str, limit: int) -> list[Release]:
        return [self.newest]


class Events:
    """Purchases at some moments."""

    def __init__(self, *times_s: int) -> None:
        self.times_s = times_s

    async def read(self, kinds: Iterable[EventKind] = EventKind, since_s: int = 0) -> AsyncIterator[EventChunk]:
        rows = [
            Row("u", "p", EventKind.PURCHASE, time_s, number)
            for number, time_s in enumerate(self.times_s)
            if time_s >= since_s
        ]
        yield chunk(rows)


class Trainings:
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.kinds: list[TrainingKind | None] = []

    async def __call__(
        self, tenant: str, kind: TrainingKind | None, *, keep_current: bool
    ) -> AsyncIterator[Progress | Release]:
        self.kinds.append(kind)
        yield Progress("learning")


def schedule(newest: Release, events: Events, now_s: int) -> tuple[Schedule, Trainings]:
    trainings, releases = Trainings(), Releases(newest)
    policy = SchedulePolicy(train_hours=24)
    made: Any = Schedule(trainings, releases, events, policy, now=lambda: now_s)  # type: ignore[arg-type]
    return made, trainings


@pytest.mark.parametrize(
    ("hours", "bought", "expected"),
    [
        (23, [NOW_S + 1], []),
        (25, [NOW_S], []),
        (25, [NOW_S, NOW_S + HOUR], [TrainingKind.INCREMENTAL]),
    ],
    ids=["too early", "nothing new", "time and something new"],
)
async def test_it_learns_when_it_is_time_and_something_was_bought(
    hours: int, bought: list[int], expected: list[TrainingKind]
) -> None:
    looking, trainings = schedule(release("ranker.onnx"), Events(*bought), NOW_S + hours * HOUR)
    await looking.look("shop")
    assert trainings.kinds == expected


@pytest.mark.parametrize(
    ("newest", "default", "expected"),
    [
        (release("ranker.onnx"), TrainingKind.FULL, TrainingKind.INCREMENTAL),
        (release("ranker.onnx", drift=0.2), TrainingKind.FULL, TrainingKind.INCREMENTAL),
        (release("ranker.onnx", drift=0.3), TrainingKind.FULL, TrainingKind.FULL),
        (release("statistics"), TrainingKind.FULL, TrainingKind.FULL),
        (release("ranker.onnx"), TrainingKind.TABLES, TrainingKind.TABLES),
    ],
    ids=["goes on", "moved a little", "shifted", "no models yet", "learns no models"],
)
def test_how_it_learns(newest: Release, default: TrainingKind, expected: TrainingKind) -> None:
    assert kind_after(newest, default) is expected
