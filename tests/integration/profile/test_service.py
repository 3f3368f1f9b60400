"""The profile service as its clients see it, on real PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from mercato.catalog.v1 import catalog_service_pb2 as catalog_pb
from mercato.catalog.v1 import catalog_service_pb2_grpc
from mercato.errors.v1 import error_reason_pb2
from mercato.gateway.v1 import user_event_pb2 as events_pb
from mercato.profile.v1 import profile_service_pb2 as pb
from mercato.profile.v1.profile_service_pb2_grpc import ProfileServiceStub

from services.profile.converters.events import message_of
from services.profile.domain.event import DAY_US, MINUTE_US, SECOND_US, Event, EventType
from services.profile.release_quarantine import release
from services.profile.settings import ProfileSettings
from services.profile.wiring import build
from shared.server.bootstrap import serve_in_process
from shared.server.parts import ServiceParts, Servicer
from tests.contract.profile.stores import token_of
from tests.fakes.profile.events import event, purchase, view
from tests.suites.errors import reason_of

NOWHERE = "127.0.0.1:1"


@asynccontextmanager
async def serving(dsn: str, *, catalog: str = NOWHERE, **settings: Any) -> AsyncIterator[grpc.aio.Channel]:
    folder = TemporaryDirectory()
    settings = {"pseudonym_key": "key of the tests", "data": Path(folder.name), **settings}
    made = ProfileSettings(postgres_dsn=dsn, catalog_address=catalog, facts_interval_seconds=0.05, **settings)
    async with build(made) as parts, serve_in_process(parts) as address, grpc.aio.insecure_channel(address) as channel:
        yield channel
    folder.cleanup()


@pytest.fixture
async def channel(postgres_database: str) -> AsyncIterator[grpc.aio.Channel]:
    async with serving(postgres_database) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> ProfileServiceStub:
    return ProfileServiceStub(channel)


@pytest.fixture
def now_us() -> int:
    return time.time_ns() // 1_000


def request(events: Iterable[Event]) -> pb.WriteUserEventsRequest:
    return pb.WriteUserEventsRequest(events=map(message_of, events))


async def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Waits until the awaited condition is true."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


def rows(dsn: str, query: str, *arguments: Any) -> list[Any]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query, arguments).fetchall()  # type: ignore[arg-type]


def people_rows(dsn: str) -> dict[str, int]:
    """Rows of all tables but those that hold nothing of people."""
    harmless = {"schema_migrations", "products", "product_facts", "facts_versions", "erasures", "ring_check"}
    tables = [
        name
        for (name,) in rows(
            dsn,
            "SELECT relname FROM pg_class WHERE relnamespace = 'profile'::regnamespace AND relkind IN ('r', 'p')",
        )
        if name not in harmless
    ]
    assert {
        "people",
        "visitors",
        "visitor_joins",
        "events",
        "event_keys",
        "event_hashes",
        "person_keys",
        "quarantine",
    } <= set(tables)
    return {name: count for name in tables if (count := rows(dsn, f"SELECT count(*) FROM profile.{name}")[0][0])}


async def test_a_written_event_is_in_the_next_answer(stub: ProfileServiceStub, now_us: int) -> None:
    for step in range(5):
        item = view(f"p-{step}", user_id="u", at=now_us - 60 * SECOND_US + step)
        assert (await stub.WriteUserEvents(request([item]))).accepted_count == 1
        profile = (await stub.GetUserProfile(pb.GetUserProfileRequest(user_id="u"))).profile
        assert profile.event_count == step + 1
        assert profile.session.viewed_product_ids[0] == f"p-{step}"
        features = (await stub.GetProfileFeatures(pb.GetProfileFeaturesRequest(user_id="u"))).features
        assert features.recent.product_ids[0] == f"p-{step}"


async def test_a_profile_of_a_year(stub: ProfileServiceStub, now_us: int) -> None:
    orders = [purchase("milk", "bread", user_id="u", at=now_us - days * DAY_US) for days in (300, 290, 280, 270)]
    await stub.WriteUserEvents(request([*orders, view("milk", visitor_id="v", at=now_us - MINUTE_US)]))
    await stub.WriteUserEvents(request([view("tea", user_id="u", visitor_id="v", at=now_us)]))
    profile = (await stub.GetUserProfile(pb.GetUserProfileRequest(visitor_id="v"))).profile
    assert (profile.user_id, list(profile.visitor_ids), profile.event_count) == ("u", ["v"], 6)
    assert sum(profile.rhythm.hours) == pytest.approx(1)
    assert sum(profile.rhythm.weekdays) == pytest.approx(1)
    assert {item.product_id: round(item.interval_days, 6) for item in profile.repeat_intervals} == {
        "milk": 10,
        "bread": 10,
    }
    assert (profile.purchases.order_count, profile.purchases.revenue.units) == (4, 28)
    assert profile.purchases.order_interval_days == pytest.approx(10)
    assert [(item.band, item.low.units, item.share) for item in profile.price_bands] == [(1, 2, 1.0)]
    assert len(profile.recent) == 10
    features = (await stub.GetProfileFeatures(pb.GetProfileFeaturesRequest(user_id="u", max_purchases=3))).features
    assert [features.purchases.product_ids[index] for index in features.purchases.product_indexes] == [
        "bread",
        "milk",
        "bread",
    ]
    assert list(features.purchases.basket_indexes) == [0, 1, 1]


async def test_bad_events_are_named_and_good_ones_kept(stub: ProfileServiceStub, now_us: int) -> None:
    messages = [message_of(view("a", event_id=f"e-{n}", user_id="u", at=now_us)) for n in range(5)]
    messages[1].products[0].product_id = ""
    messages[1].user_id = "u" * 129
    messages[2].event_time.seconds -= 761 * 86_400
    messages[4].event_id = "e-0"
    answer = await stub.WriteUserEvents(pb.WriteUserEventsRequest(events=messages))
    assert (answer.accepted_count, answer.duplicate_count) == (2, 1)
    assert [(item.index, item.item_id, item.reason) for item in answer.rejected] == [
        (1, "e-1", error_reason_pb2.ERROR_REASON_INVALID_REQUEST),
        (2, "e-2", error_reason_pb2.ERROR_REASON_EVENT_TIME_OUT_OF_RANGE),
    ]
    assert {item.field for item in answer.rejected[0].violations} == {"products[0].product_id", "user_id"}


HOSTILE: list[tuple[str, Any, grpc.StatusCode, str]] = [
    ("WriteUserEvents", pb.WriteUserEventsRequest(), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    (
        "WriteUserEvents",
        pb.WriteUserEventsRequest(events=[events_pb.UserEvent()] * 1001),
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
    ),
    ("GetUserProfile", pb.GetUserProfileRequest(user_id="x"), grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND"),
    ("GetUserProfile", pb.GetUserProfileRequest(), grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND"),
    ("GetUserProfile", pb.GetUserProfileRequest(visitor_id="\0"), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    (
        "GetUserProfile",
        pb.GetUserProfileRequest(user_id="x" * 129),
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
    ),
    (
        "GetProfileFeatures",
        pb.GetProfileFeaturesRequest(max_purchases=-1),
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
    ),
]


@pytest.mark.parametrize(("method", "message", "code", "reason"), HOSTILE)
async def test_hostile_requests(
    stub: ProfileServiceStub, method: str, message: Any, code: grpc.StatusCode, reason: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(stub, method)(message)
    assert (caught.value.code(), reason_of(caught.value)) == (code, reason)


async def test_events_that_the_database_could_not_store_are_refused(stub: ProfileServiceStub) -> None:
    bad = events_pb.UserEvent(event_id="x", event_type=4, user_id="u", search_query="\0")
    bad.event_time.GetCurrentTime()
    far = events_pb.UserEvent(event_id="y", event_type=1, user_id="u", event_time=Timestamp(seconds=253_402_300_799))
    odd = events_pb.UserEvent(event_id="z", event_type=1, user_id="u", event_time=Timestamp(seconds=2**62))
    answer = await stub.WriteUserEvents(pb.WriteUserEventsRequest(events=[bad, far, odd]))
    assert (answer.accepted_count, [item.index for item in answer.rejected]) == (0, [0, 1, 2])


async def test_unknown_people_are_no_error_where_the_contract_says_so(stub: ProfileServiceStub) -> None:
    assert not (await stub.GetProfileFeatures(pb.GetProfileFeaturesRequest())).features.known
    receipt = await stub.EraseUserData(pb.EraseUserDataRequest(user_id="x"))
    assert (receipt.erased_event_count, receipt.erased_record_count) == (0, 0)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [part async for part in stub.ExportUserData(pb.ExportUserDataRequest(user_id="x"))]
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_erasure_leaves_no_row_anywhere(stub: ProfileServiceStub, postgres_database: str, now_us: int) -> None:
    month = 31 * DAY_US
    batch = [purchase("a", event_id=f"b-{n}", user_id="u", at=now_us - n * month) for n in range(12)]
    batch += [view("b", visitor_id="v", at=now_us - n * month) for n in range(3)]
    batch += [view(f"c-{n}", user_id="u", visitor_id="v", at=now_us - MINUTE_US + n * 1_000) for n in range(100)]
    answer = await stub.WriteUserEvents(request(batch))
    assert (answer.accepted_count, answer.quarantined_count) == (115, 101), "the newest view stood in the flood"
    await stub.GetProfileFeatures(pb.GetProfileFeaturesRequest(user_id="u"))
    exported = [part async for part in stub.ExportUserData(pb.ExportUserDataRequest(visitor_id="v"))]
    assert sum(len(part.events) for part in exported) == 115
    receipt = await stub.EraseUserData(pb.EraseUserDataRequest(user_id="u"))
    assert (receipt.erased_event_count, receipt.erased_record_count) == (14, 101 + 3)
    assert people_rows(postgres_database) == {}
    [(columns,)] = rows(postgres_database, "SELECT to_jsonb(e) FROM profile.erasures e")
    assert set(columns) == {"tenant_id", "receipt_id", "erase_time", "event_count", "record_count"}
    state = await stub.GetEventState(pb.GetEventStateRequest())
    assert (state.event_count, state.quarantined_count, state.user_count) == (0, 0, 0)


async def test_partitions_are_made_on_demand(stub: ProfileServiceStub, postgres_database: str, now_us: int) -> None:
    times = [now_us - days * DAY_US for days in (0, 400, 759)]
    work = [
        stub.WriteUserEvents(request([view("a", user_id=f"u-{n}", at=at), view("b", user_id=f"u-{n}", at=at)]))
        for n in range(6)
        for at in times
    ]
    answers = await asyncio.gather(*work)
    assert sum(answer.accepted_count for answer in answers) == 36
    made = {name for (name,) in rows(postgres_database, "SELECT inhrelid::regclass::text FROM pg_inherits")}
    months = {f"profile.events_{time.strftime('%Y%m', time.gmtime(at / 1e6))}" for at in times}
    assert months <= made
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute(f"DROP TABLE {sorted(months)[0]}")  # type: ignore[arg-type]
    answer = await stub.WriteUserEvents(request([view("c", user_id="u-0", at=times[-1])]))
    assert answer.accepted_count == 1


async def test_an_operator_releases_a_quarantine(postgres_database: str, now_us: int, tmp_path: Path) -> None:
    async with serving(postgres_database, data=tmp_path) as channel:
        await _releases_a_quarantine(ProfileServiceStub(channel), postgres_database, now_us, tmp_path)


async def _releases_a_quarantine(stub: ProfileServiceStub, dsn: str, now_us: int, data: Path) -> None:
    start = now_us - 10 * MINUTE_US
    flood = [view(f"p-{n}", visitor_id="v", at=start + n * 1_000) for n in range(100)]
    assert (await stub.WriteUserEvents(request(flood))).quarantined_count == 100
    settings = ProfileSettings(postgres_dsn=dsn, data=data)
    assert await release(settings, "default", "", "v") == 100
    assert await release(settings, "default", "v", "") == 0
    profile = (await stub.GetUserProfile(pb.GetUserProfileRequest(visitor_id="v"))).profile
    assert profile.event_count == 100
    more = [view(f"q-{n}", visitor_id="v", at=start + n * 1_000) for n in range(100)]
    assert (await stub.WriteUserEvents(request(more))).quarantined_count == 0, "trusted from now on"


async def test_rows_for_learning_are_pseudonyms_that_last(postgres_database: str, tmp_path: Path, now_us: int) -> None:
    async def keys(tenant: str = "default", **settings: Any) -> set[bytes]:
        metadata = (("mercato-tenant", tenant),)
        async with serving(postgres_database, **{"pseudonym_key": None, "data": tmp_path, **settings}) as channel:
            stub = ProfileServiceStub(channel)
            await stub.WriteUserEvents(
                request([purchase("a", event_id="e", user_id="u", at=now_us)]), metadata=metadata
            )
            answers = [answer async for answer in stub.ReadEvents(pb.ReadEventsRequest(), metadata=metadata)]
        assert [answer.total_rows for answer in answers] == [1]
        return {key for answer in answers for key in answer.user_keys}

    first = await keys()
    assert await keys() == first
    assert await keys(pseudonym_key="configured") != first
    assert await keys(tenant="shop-2") != first
    assert all(len(key) == 16 and key != b"u" for key in first)
    assert (tmp_path / "keys" / "pseudonym.key").stat().st_mode & 0o077 == 0


async def test_the_stream_says_its_total_once_and_keeps_events_whole(stub: ProfileServiceStub, now_us: int) -> None:
    batch = [purchase("a", "b", "c", user_id=f"u-{n % 9}", at=now_us - n * SECOND_US) for n in range(40)]
    await stub.WriteUserEvents(request(batch))
    answers = [answer async for answer in stub.ReadEvents(pb.ReadEventsRequest(chunk_size=10))]
    assert [answer.total_rows for answer in answers] == [120] + [0] * (len(answers) - 1)
    assert sum(len(answer.product_indexes) for answer in answers) == 120
    numbers = [set(answer.event_numbers) for answer in answers]
    assert all(not one & other for index, one in enumerate(numbers) for other in numbers[index + 1 :])
    assert all(list(answer.event_times_s) == sorted(answer.event_times_s) for answer in answers)


async def test_the_full_view_says_what_was_shown(stub: ProfileServiceStub, now_us: int) -> None:
    token = token_of("a", "b")
    batch = [
        event(EventType.IMPRESSION, "a", "b", user_id="u", at=now_us, attribution_token=token, device=1),
        event(EventType.CLICK, "b", user_id="u", at=now_us + SECOND_US, attribution_token=token, device=1),
        purchase("c", user_id="u", at=now_us + 2 * SECOND_US, price=2_500_000),
    ]
    await stub.WriteUserEvents(request(batch))
    [basic] = [answer async for answer in stub.ReadEvents(pb.ReadEventsRequest())]
    assert not (basic.requests or basic.positions or basic.unit_price_micros or basic.devices)
    [full] = [answer async for answer in stub.ReadEvents(pb.ReadEventsRequest(view=pb.EVENT_VIEW_FULL))]
    assert (full.user_keys, full.event_numbers) == (basic.user_keys, basic.event_numbers)
    [shown] = full.requests
    assert (shown.release_id, shown.list_kind, shown.request_time_s) == ("r1", "home", 1_800_000_000)
    assert len(shown.request_key) == 16
    assert list(full.event_types) == [5, 5, 6, 9]
    assert list(full.request_indexes) == [0, 0, 0, -1]
    assert list(full.positions) == [20, 21, 21, -1]
    assert list(full.unit_price_micros) == [-1, -1, -1, 2_500_000]
    assert [full.currencies[index] if index >= 0 else "" for index in full.currency_indexes] == ["", "", "", "USD"]
    assert list(full.devices) == [1, 1, 1, 0]


class Shelf(catalog_service_pb2_grpc.CatalogServiceServicer):
    """A catalogue that knows one product."""

    tenants: list[str]

    async def BatchGetFacts(self, request: Any, context: Any) -> catalog_pb.BatchGetFactsResponse:
        metadata = dict(context.invocation_metadata())
        self.tenants.append(metadata["mercato-tenant"])
        known = [product for product in request.product_ids if product == "milk"]
        return catalog_pb.BatchGetFactsResponse(
            product_ids=known,
            category_paths=[catalog_pb.CategoryPath(levels=["Food", "Dairy"])] * len(known),
            brands=["Farm"] * len(known),
            price_micros=[990_000] * len(known),
            currency_codes=["USD"] * len(known),
        )


async def test_facts_of_the_catalogue_reach_the_features(postgres_database: str, now_us: int) -> None:
    shelf = Shelf()
    shelf.tenants = []
    parts = ServiceParts(
        name="catalog",
        servicers=(
            Servicer(
                catalog_pb.DESCRIPTOR.services_by_name["CatalogService"],
                catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server,
                shelf,
            ),
        ),
    )
    async with serve_in_process(parts) as catalog, serving(postgres_database, catalog=catalog) as channel:
        stub = ProfileServiceStub(channel)
        tenant = (("mercato-tenant", "shop-2"),)
        await stub.WriteUserEvents(request([view("milk", user_id="u", at=now_us)]), metadata=tenant)

        async def brands() -> list[str]:
            asked = pb.GetUserProfileRequest(user_id="u")
            return [item.name for item in (await stub.GetUserProfile(asked, metadata=tenant)).profile.brands]

        async def arrived() -> bool:
            return await brands() == ["Farm"]

        await until(arrived)
        assert set(shelf.tenants) == {"shop-2"}
        await stub.WriteUserEvents(request([purchase("unknown", user_id="u", at=now_us)]), metadata=tenant)
        assert await brands() == ["Farm"]


async def test_health_without_the_catalogue(channel: grpc.aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)

    async def status(service: str) -> int:
        return (await health.Check(health_pb2.HealthCheckRequest(service=service))).status

    assert await status("mercato.profile.v1.ProfileService") == health_pb2.HealthCheckResponse.SERVING
    assert await status("dependency:catalog") == health_pb2.HealthCheckResponse.NOT_SERVING
    assert await status("dependency:postgres") == health_pb2.HealthCheckResponse.SERVING
