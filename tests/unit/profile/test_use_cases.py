"""The use cases on stores in memory."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

import pytest

from services.profile.adapters import combined_events
from services.profile.adapters.combined_events import CombinedEventStore
from services.profile.domain.event import DAY_US, MINUTE_US, Event, EventType, Outcome, TimeLimits, Written
from services.profile.domain.history import HistoryLimits
from services.profile.errors import UserNotFound
from services.profile.feature_cache import FeatureCache
from services.profile.get_features import GetFeatures
from services.profile.get_profile import GetProfile
from services.profile.ports import EventState, EventStore, Facts
from services.profile.privacy import EraseUser, ExportUser
from services.profile.refresh_facts import RefreshFacts
from services.profile.write_events import WriteEvents
from shared.errors.base import MercatoError, ResourceExhausted, Unavailable
from shared.errors.reasons import Reason
from tests.fakes.profile.events import NOW_US, event, purchase, view
from tests.fakes.profile.stores import FakeCatalog, FakeStores

T = "default"


class Clock:
    now_us = NOW_US

    def __call__(self) -> int:
        return self.now_us


async def test_every_event_of_a_batch_is_accounted_for() -> None:
    write = WriteEvents(FakeStores(), TimeLimits(10, 60), Clock())
    batch = [
        view("a", event_id="x", user_id="u"),
        view("a", event_id="x", user_id="u"),
        view("b", event_id="old", user_id="u", at=NOW_US - 10 * DAY_US - 1),
        view("b", event_id="oldest", user_id="u", at=NOW_US - 10 * DAY_US),
        view("b", event_id="ahead", user_id="u", at=NOW_US + MINUTE_US + 1),
    ]
    written, rejected = await write(T, list(enumerate(batch)))
    assert written == Written(accepted=2, duplicates=1)
    assert [(item.index, item.event_id, item.reason) for item in rejected] == [
        (2, "old", Reason.EVENT_TIME_OUT_OF_RANGE),
        (4, "ahead", Reason.EVENT_TIME_OUT_OF_RANGE),
    ]
    assert "10 days ago" in rejected[0].message
    assert await write(T, [(7, batch[2])]) == (Written(), [rejected[0].__class__(7, *list_of(rejected[0])[1:])])


def list_of(rejection: object) -> list[object]:
    return [getattr(rejection, name) for name in ("index", "event_id", "reason", "message", "violations")]


@pytest.fixture
def stores() -> FakeStores:
    return FakeStores()


async def test_features_follow_every_event_though_cached(stores: FakeStores) -> None:
    cache, clock = FeatureCache(), Clock()
    get = GetFeatures(stores, cache, HistoryLimits(), clock)
    assert not (await get(T, "u", "")).known
    await stores.write(T, [purchase("a", user_id="u")])
    first = await get(T, "u", "")
    assert len(first.purchases.times_s) == 1
    assert await get(T, "u", "") is first, "cached"
    await stores.write(T, [purchase("b", user_id="u", at=NOW_US + 1)])
    assert len((await get(T, "u", "")).purchases.times_s) == 2
    assert len((await get(T, "u", "", 1)).purchases.times_s) == 1


async def test_impressions_and_purchases_do_not_push_visits_out(stores: FakeStores) -> None:
    get = GetFeatures(stores, FeatureCache(), HistoryLimits(), Clock())
    shown = [
        event(EventType.IMPRESSION, *(f"p{n}-{at}" for n in range(50)), at=NOW_US + at, user_id="u")
        for at in range(1, 6)
    ]
    await stores.write(T, [view("seen", user_id="u"), *shown, purchase("bought", user_id="u", at=NOW_US + 9)])
    assert [item.product_id for item in (await get(T, "u", "")).recent] == ["seen"]


async def test_new_facts_make_new_features(stores: FakeStores) -> None:
    get = GetFeatures(stores, FeatureCache(), HistoryLimits(), Clock())
    await stores.write(T, [purchase("a", user_id="u")])
    assert (await get(T, "u", "")).purchases.products[0].category == ""
    catalog = FakeCatalog({"a": Facts(("Food", "Dairy"), "Farm")})
    assert await RefreshFacts(stores, catalog).once() == 1
    product = (await get(T, "u", "")).purchases.products[0]
    assert (product.category, product.brand) == ("Food > Dairy", "Farm")


async def test_the_cache_is_bounded_and_forgets(stores: FakeStores) -> None:
    cache, clock = FeatureCache(max_rows=100, max_age_seconds=10), Clock()
    get = GetFeatures(stores, cache, HistoryLimits(), clock)
    for number in range(10):
        await stores.write(T, [purchase("a", user_id=f"u-{number}")])
        await get(T, f"u-{number}", "")
    assert len(cache) == 4
    clock.now_us += 11_000_000
    cache.forget_old(clock.now_us)
    assert len(cache) == 0


async def test_an_unknown_person_is_not_found(stores: FakeStores) -> None:
    with pytest.raises(UserNotFound) as caught:
        await GetProfile(stores, HistoryLimits(), Clock())(T, "secret", "")
    assert (caught.value.reason, caught.value.metadata) == (Reason.USER_NOT_FOUND, {"user_id": "secret"})
    assert "secret" not in str(caught.value)
    with pytest.raises(UserNotFound) as caught:
        _ = [part async for part in ExportUser(stores)(T, "", "v")]
    assert caught.value.metadata == {"visitor_id": "v"}


async def test_an_erased_person_leaves_the_cache(stores: FakeStores) -> None:
    cache = FeatureCache()
    get = GetFeatures(stores, cache, HistoryLimits(), Clock())
    await stores.write(T, [purchase("a", user_id="u")])
    await get(T, "u", "")
    await EraseUser(stores, cache)(T, "u", "")
    assert len(cache) == 0
    assert not (await get(T, "u", "")).known


async def test_the_catalogue_may_be_down(stores: FakeStores) -> None:
    catalog = FakeCatalog({"a": Facts(("Food",))})
    catalog.error = Unavailable("catalog")
    worker = RefreshFacts(stores, catalog, interval_seconds=0.001)
    await stores.write(T, [purchase("a", user_id="u")])
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(10):
        while not catalog.asked:
            await asyncio.sleep(0)
        assert not running.done()
        catalog.error = None
        while not stores.tenants_[T].facts:
            await asyncio.sleep(0)
    running.cancel()


@pytest.mark.parametrize("error", [Unavailable("catalog"), ResourceExhausted("too many calls")])
async def test_a_tenant_whose_products_cannot_be_asked_for_holds_up_no_other(
    stores: FakeStores, error: MercatoError
) -> None:
    class OneRefused(FakeCatalog):
        async def facts(self, tenant: str, product_ids: Sequence[str]) -> Mapping[str, Facts]:
            self.error = error if tenant == "a-refused" else None
            return await super().facts(tenant, product_ids)

    for tenant in ("a-refused", T):
        await stores.write(tenant, [purchase("a", user_id="u")])
    worker = RefreshFacts(stores, OneRefused({"a": Facts(("Food",))}))
    with contextlib.suppress(Unavailable):
        await worker.once()
    assert stores.tenants_[T].facts
    assert not stores.tenants_["a-refused"].facts


class SlowStore(EventStore):
    """Holds every transaction until it is let go."""

    def __init__(self) -> None:
        self.inner = FakeStores()
        self.batches: list[list[str]] = []
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def write(self, tenant: str, events: Sequence[Event]) -> Sequence[Outcome]:
        self.batches.append([event.event_id for event in events])
        await self.go.wait()
        if self.error and len(events) > 1:
            raise self.error
        return await self.inner.write(tenant, events)

    async def state(self, tenant: str) -> EventState:
        return await self.inner.state(tenant)


async def started(
    slow: SlowStore, combined: CombinedEventStore, batches: list[list[Event]]
) -> list[asyncio.Task[Sequence[Outcome]]]:
    """Writers that arrive one after the other; the first two transactions hold back the rest."""
    tasks = []
    for batch in batches:
        tasks.append(asyncio.create_task(combined.write(T, batch)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return tasks


def small(*ids: str) -> list[Event]:
    return [view("a", event_id=name, user_id="u") for name in ids]


async def test_who_arrives_meanwhile_shares_a_transaction() -> None:
    slow = SlowStore()
    combined = CombinedEventStore(slow)
    tasks = await started(slow, combined, [small("a"), small("b"), small("c", "d"), small("e"), small("a", "f")])
    assert slow.batches == [["a"], ["b"]]
    slow.go.set()
    outcomes = await asyncio.gather(*tasks)
    assert slow.batches[2:] == [["c", "d", "e", "a", "f"]]
    stored, duplicate = Outcome.STORED, Outcome.DUPLICATE
    assert outcomes == [[stored], [stored], [stored, stored], [stored], [duplicate, stored]]


async def test_the_same_id_never_stands_twice_in_a_transaction() -> None:
    slow = SlowStore()
    combined = CombinedEventStore(slow)
    tasks = await started(slow, combined, [small("a"), small("b"), small("x"), small("x"), small("x", "y")])
    slow.go.set()
    outcomes = [outcome for listed in await asyncio.gather(*tasks) for outcome in listed]
    assert outcomes.count(Outcome.DUPLICATE) == 2
    assert all(len(set(batch)) == len(batch) for batch in slow.batches)


async def test_one_callers_bad_luck_is_not_shared() -> None:
    slow = SlowStore()
    combined = CombinedEventStore(slow)
    slow.error = ValueError("a defect")
    tasks = await started(slow, combined, [small("a"), small("b"), small("c"), small("d", "e"), small("f")])
    slow.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [list, list, list, ValueError, list]


async def test_nobody_waits_long_behind_transactions_that_make_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(combined_events, "_STUCK_SECONDS", 0.02)
    slow = SlowStore()
    combined = CombinedEventStore(slow)
    tasks = await started(slow, combined, [small("a"), small("b"), small("c")])
    with pytest.raises(Unavailable):
        await tasks[2]
    with pytest.raises(Unavailable):
        await combined.write(T, small("d"))
    slow.go.set()
    assert await asyncio.gather(*tasks[:2]) == [[Outcome.STORED], [Outcome.STORED]]
    assert await combined.write(T, small("c")) == [Outcome.STORED], "what was refused was not written"


async def test_a_caller_who_gave_up_is_left_out() -> None:
    slow = SlowStore()
    combined = CombinedEventStore(slow)
    tasks = await started(slow, combined, [small("a"), small("b"), small("c"), small("d")])
    tasks[2].cancel()
    slow.go.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert slow.batches[2:] == [["d"]]
