"""The adaptive limit in a simulated service: two cores shared by whatever runs, calls of three kinds, seeded chance."""

import random
from dataclasses import dataclass

import pytest

from shared.server.limits.vegas import VegasLimit

CORES = 2
KINDS = (("quick", 0.5, 0.004), ("middle", 0.4, 0.012), ("slow", 0.1, 0.06))
"""Name, share of the calls and mean seconds of work."""
CAPACITY = CORES / sum(share * seconds for _, share, seconds in KINDS)


@dataclass
class Job:
    left: float
    began: float
    kind: str


class Simulation:
    """Open arrivals at a service that shares its cores equally; a call over the limit is refused at once."""

    def __init__(self, **limits: int) -> None:
        self.now = 0.0
        self.limit = VegasLimit(**{"initial": 24, "lowest": 4, "highest": 512, **limits}, clock=lambda: self.now)
        self.finished: list[float] = []
        self._random = random.Random(84)
        self._jobs: list[Job] = []

    def run(self, rate: float, until: float, slower: float = 1.0) -> None:
        self.finished.clear()
        arrival = self.now + self._random.expovariate(rate)
        while self.now < until:
            speed = min(1.0, CORES / max(len(self._jobs), 1))
            next_end = min((job.left for job in self._jobs), default=1e9) / speed
            step = min(next_end, arrival - self.now)
            self.now += step
            for job in self._jobs:
                job.left -= step * speed
            if step == next_end:
                self._end(min(self._jobs, key=lambda job: job.left))
            else:
                arrival = self.now + self._random.expovariate(rate)
                if len(self._jobs) < self.limit.limit:
                    self._begin(slower)

    def _begin(self, slower: float) -> None:
        name, _, seconds = self._random.choices(KINDS, [share for _, share, _ in KINDS])[0]
        self._jobs.append(Job(self._random.expovariate(1 / (seconds * slower)), self.now, name))

    def _end(self, job: Job) -> None:
        running = len(self._jobs)
        self._jobs.remove(job)
        self.finished.append(self.now - job.began)
        self.limit.sample(job.kind, self.now - job.began, running)


@pytest.mark.parametrize("load", [1.2, 3.0])
def test_overload_leaves_the_goodput_and_bounds_the_time_of_what_is_let_in(load: float) -> None:
    service = Simulation()
    service.run(CAPACITY * load, until=20)
    service.run(CAPACITY * load, until=60)
    assert len(service.finished) / 40 > 0.9 * CAPACITY
    assert sorted(service.finished)[len(service.finished) // 2] < 0.05
    assert service.limit.limit < 24


def test_a_service_with_room_keeps_its_limit() -> None:
    service = Simulation()
    service.run(CAPACITY * 0.5, until=30)
    assert service.limit.limit == 24


def test_a_service_that_became_slower_is_not_choked() -> None:
    service = Simulation()
    service.run(CAPACITY * 3, until=40)
    service.run(CAPACITY * 3, until=80, slower=3.0)
    service.run(CAPACITY * 3, until=120, slower=3.0)
    assert len(service.finished) / 40 > 0.9 * CAPACITY / 3


def test_a_long_overload_does_not_let_the_limit_drift_up() -> None:
    service = Simulation()
    service.run(CAPACITY * 3, until=400)
    assert service.limit.limit < 32


def test_calls_that_ran_out_of_time_shrink_the_limit_down_to_the_least() -> None:
    now = 0.0
    limit = VegasLimit(initial=100, lowest=5, highest=200, clock=lambda: now)
    for _ in range(2000):
        now += 0.05
        limit.dropped()
    assert limit.limit == 5
