"""Shares of token buckets, on a store in memory and a clock that tests turn."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from services.gateway.limits.leases import Leases
from services.gateway.limits.ports import BucketStore, Lease
from services.gateway.limits.quota import Quota

QUOTA = Quota(per_second=100.0, burst=50.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Buckets(BucketStore):
    """One process's memory; ``away`` makes it fail."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self.away = False
        self.requests = 0

    async def lease(self, leases: Sequence[Lease]) -> Mapping[str, float]:
        self.requests += 1
        if self.away:
            raise ConnectionError
        given = {}
        for lease in leases:
            tokens, at = self._buckets.get(lease.scope, (lease.burst, self._clock()))
            tokens = min(lease.burst, tokens + lease.returned + (self._clock() - at) * lease.per_second)
            given[lease.scope] = min(lease.wanted, max(tokens, 0.0))
            self._buckets[lease.scope] = tokens - given[lease.scope], self._clock()
        return given

    async def forget(self, idle_seconds: float) -> None:
        self._buckets.clear()


@asynccontextmanager
async def running(*gateways: Leases) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(gateway.run()) for gateway in gateways]
    yield
    for task in tasks:
        task.cancel()


async def taken(gateway: Leases, calls: int, cost: float = 1.0) -> int:
    return sum([not await gateway.take("t/shop", QUOTA, cost) for _ in range(calls)])


async def test_gateways_together_give_out_the_burst_and_no_more() -> None:
    clock = Clock()
    store = Buckets(clock)
    gateways = [Leases(store, clock) for _ in range(3)]
    async with running(*gateways):
        assert sum([await taken(gateway, 60) for gateway in gateways]) == 50


async def test_calls_that_come_together_are_not_refused_while_there_are_tokens() -> None:
    clock = Clock()
    gateway = Leases(Buckets(clock), clock)
    async with running(gateway):
        waits = await asyncio.gather(*(gateway.take("t/shop", QUOTA, 1.0) for _ in range(60)))
    assert sum(not wait for wait in waits) == 50
    assert min(wait for wait in waits if wait) > 0


async def test_tokens_flow_in_with_time_and_an_empty_bucket_is_not_asked_again_at_once() -> None:
    clock = Clock()
    store = Buckets(clock)
    gateway = Leases(store, clock)
    async with running(gateway):
        await taken(gateway, 60)
        asked = store.requests
        assert await taken(gateway, 100) == 0
        assert store.requests == asked
        clock.now += 0.2
        assert await taken(gateway, 60) == 20


async def test_a_cost_above_the_burst_passes_and_is_paid_off() -> None:
    clock = Clock()
    gateway = Leases(Buckets(clock), clock)
    async with running(gateway):
        assert await taken(gateway, 1, cost=90.0) == 1
        clock.now += 0.2
        assert await taken(gateway, 1) == 0
        clock.now += 0.3
        assert await taken(gateway, 1) == 1


async def test_without_the_store_the_last_share_goes_on() -> None:
    clock = Clock()
    store = Buckets(clock)
    gateway, other = Leases(store, clock), Leases(store, clock)
    async with running(gateway, other):
        for _ in range(200):  # ten seconds in which both take what they get
            clock.now += 0.05
            await taken(gateway, 4)
            await taken(other, 4)
        store.away = True
        alone = 0
        for _ in range(200):
            clock.now += 0.05
            alone += await taken(gateway, 10)
        assert 200 < alone < 1000
        store.away = False
        clock.now += 2.0
        assert await taken(gateway, 1) == 1


async def test_what_is_not_used_is_given_back() -> None:
    clock = Clock()
    store = Buckets(clock)
    gateway, other = Leases(store, clock), Leases(store, clock)
    async with running(gateway, other):
        assert await taken(gateway, 1) == 1
        held = gateway.held("t/shop")
        assert held > 0
        clock.now += 1.5
        async with asyncio.timeout(10):
            while gateway.held("t/shop"):
                await asyncio.sleep(0.01)
        assert await taken(other, 60) == 50
