"""What an operator sees of the running suite: one trace a request, bounded metrics, and nobody's personal data."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
from mercato.gateway.v1 import (
    profile_service_pb2,
    recommendation_service_pb2,
    search_service_pb2,
    support_service_pb2,
    user_event_pb2,
    user_event_service_pb2,
)

from services.supervisor.services import SERVICES
from tests.e2e.marked_shop import serving, stored
from tests.e2e.observed import Observed, observed_suite
from tests.e2e.shop import Shop, purchase, until
from tests.suites.otlp_receiver import ReceivedSpan

CALLERS_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
MARKS = {
    "user": "mk-user-7f3a91",
    "visitor": "mk-visitor-5c1b",
    "session": "mk-session-88d2",
    "query": "mk zebra umbrella",
    "question": "mk may Ottilie Example return it",
    "mail": "mk.ottilie@example.test",
    "ip": "203.0.113.77",
    "order": "mk-order-4711",
}
"""What must stand in no log, metric or span."""
LABEL_VALUE = re.compile(r"[A-Za-z0-9_./ +-]{0,120}")
MOST_SERIES = 6_000
"""A process; a histogram of one rpc is 17."""


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    with observed_suite(tmp_path_factory.mktemp("observed")) as found:
        yield found


@pytest.fixture
async def watched_shop(observed: Observed, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    async with grpc.aio.insecure_channel(observed.running.address) as channel:
        yield Shop(channel, re.sub(r"[^a-z0-9]", "-", request.node.name)[-50:].strip("-"))


async def test_one_recommendation_is_one_trace_through_every_stage(observed: Observed, watched_shop: Shop) -> None:
    async with stored(observed.running, watched_shop) as marks:
        await until(serving(watched_shop, next(iter(marks))))
        await watched_shop.write([purchase("buy-2", "user-2", ["a0", "b0"], 3.0)])  # a history that nobody asked for
        call = watched_shop.recommendations.Recommend(
            recommendation_service_pb2.RecommendRequest(user_id="user-2"),
            metadata=(*watched_shop.metadata, ("traceparent", f"00-{CALLERS_TRACE}-00f067aa0ba902b7-00")),
        )
        await call
        trailing = dict(await call.trailing_metadata())
    assert trailing["x-trace-id"] == CALLERS_TRACE

    async def arrived() -> bool:
        # Each process exports when it likes: the trace is whole once all services are there and one span has no parent.
        spans = observed.receiver.of(CALLERS_TRACE)
        stages = {"gateway", "profile", "encoder", "retrieval", "ranking", "triton"}
        return stages <= services_of(spans) and len(roots_of(spans)) == 1

    await until(arrived, 30)
    spans = observed.receiver.of(CALLERS_TRACE)
    by_id = {span.span_id: span for span in spans}
    assert [root.name for root in roots_of(spans)] == ["mercato.gateway.v1.RecommendationService/Recommend"]
    names = {span.name for span in spans}
    assert {"stage profile", "stage behaviour", "stage ranking", "stage catalog", "triton infer"} <= names
    assert any(name.startswith("postgres ") for name in names)
    inference = next(span for span in spans if span.name == "triton infer" and "encoder" in span.service)
    assert inference.attributes["triton.model"] == "user_encoder"
    queue = [span for span in spans if span.service == "triton" and "QUEUE_START" in span.events]
    assert queue, "Triton's own spans hang in the trace"
    ancestors = {by_id[inference.parent_id].name, *ancestry(inference, by_id)}
    assert "stage behaviour" in ancestors

    async def logged() -> bool:
        logs = observed.logs()
        return all(CALLERS_TRACE in logs[name] for name in ("gateway", "profile", "encoder", "retrieval", "ranking"))

    await until(logged, 10)


async def test_background_work_has_traces_of_its_own(observed: Observed, watched_shop: Shop) -> None:
    async with stored(observed.running, watched_shop) as marks:
        await until(serving(watched_shop, next(iter(marks))))

    async def arrived() -> bool:
        return {"index products", "load release"} <= {span.name for span in observed.receiver.spans}

    await until(arrived, 30)
    roots = [span for span in observed.receiver.spans if span.name in ("index products", "load release")]
    assert all(not span.parent_id for span in roots)


async def test_errors_name_their_trace(observed: Observed, watched_shop: Shop) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watched_shop.search("thing", page_token="broken")
    trace_id = dict(caught.value.trailing_metadata() or ())["x-trace-id"]
    assert trace_id.encode() in bytes(dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"])


async def test_no_log_metric_or_span_holds_what_people_did_or_said(observed: Observed, watched_shop: Shop) -> None:
    await watched_shop.filled()
    await traffic(watched_shop)
    await hostile_traffic(watched_shop)

    async def exported() -> bool:
        return any("SearchService/Search" in span.name for span in observed.receiver.spans)

    await until(exported, 30)
    seen = {
        **{f"log of {name}": text for name, text in observed.logs().items()},
        **{f"metrics of {name}": text for name, text in observed.all_metrics().items()},
        "traces": b"\n".join(observed.receiver.bodies).decode("utf-8", "replace"),
    }
    assert {f"log of {name}" for name in SERVICES} <= seen.keys()
    found = [(place, mark) for place, text in seen.items() for mark in MARKS.values() if mark in text]
    assert not found
    for name in SERVICES:
        for line in observed.logs()[name].splitlines():
            if line.startswith("{"):
                json.loads(line)  # a forged or broken line would not be one object
    assert '"request_id"' in seen["log of gateway"]


async def test_labels_stay_bounded_after_hostile_traffic(observed: Observed, watched_shop: Shop) -> None:
    await traffic(watched_shop)
    await hostile_traffic(watched_shop)
    before = {name: {key(sample) for sample in observed.metrics(name)} for name in SERVICES}
    for number in range(30):
        await hostile_traffic(watched_shop, f"-{number}")
    after = {name: {key(sample) for sample in observed.metrics(name)} for name in SERVICES}
    for name in SERVICES:
        assert len(after[name]) < MOST_SERIES, name
        # Thirty times the hostile traffic, with ids and methods of its own each time: at most codes not met before.
        assert len(after[name] - before[name]) <= 40, (name, sorted(after[name] - before[name])[:20])
        for _, labels in after[name]:
            for label, value in labels:
                assert LABEL_VALUE.fullmatch(value), (name, label, value)
                assert watched_shop.tenant not in value, (name, label, value)


def key(sample: object) -> tuple[str, tuple[tuple[str, str], ...]]:
    return sample.name, tuple(sorted(sample.labels.items()))  # type: ignore[attr-defined]


def services_of(spans: list[ReceivedSpan]) -> set[str]:
    return {span.service.removeprefix("mercato-") for span in spans}


def roots_of(spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
    """Spans whose parent the collector does not have."""
    ids = {span.span_id for span in spans}
    return [span for span in spans if span.parent_id not in ids]


def ancestry(span: ReceivedSpan, by_id: dict[str, ReceivedSpan]) -> Iterator[str]:
    """Names of the spans around one, in every service."""
    while span.parent_id in by_id:
        span = by_id[span.parent_id]
        yield span.name


async def traffic(shop: Shop) -> None:
    """One of everything, about a marked person."""
    person = {"user_id": MARKS["user"], "visitor_id": MARKS["visitor"]}
    event = purchase(MARKS["order"], MARKS["user"], ["dairy-0"], 1.0)
    event.visitor_id, event.session_id = MARKS["visitor"], MARKS["session"]
    search = user_event_pb2.UserEvent(
        event_id="mk-search",
        event_type=user_event_pb2.USER_EVENT_TYPE_SEARCH,
        event_time=event.event_time,
        search_query=MARKS["query"],
        **person,
    )
    await shop.write([event, search])
    await shop.recommend(MARKS["user"], visitor_id=MARKS["visitor"])
    await shop.search(MARKS["query"], **person)
    await shop.ask(f"{MARKS['question']} ({MARKS['mail']})?")
    await shop.call(shop.profiles.GetUserProfile, profile_service_pb2.GetUserProfileRequest(user_id=MARKS["user"]))
    async for _ in shop.events.ExportUserData(
        user_event_service_pb2.ExportUserDataRequest(user_id=MARKS["user"]), metadata=shop.metadata
    ):
        pass
    await shop.call(shop.events.EraseUserData, user_event_service_pb2.EraseUserDataRequest(user_id=MARKS["user"]))


async def hostile_traffic(shop: Shop, suffix: str = "") -> None:
    """Requests that fail in many ways, each with marks where a careless line would repeat them."""
    metadata = (
        *shop.metadata,
        ("x-request-id", f"{MARKS['mail']}{suffix} forged"),
        ("x-forwarded-for", MARKS["ip"]),
        ("user-agent", MARKS["mail"]),
        ("traceparent", f"00-{MARKS['user']}-{MARKS['order']}-01"),
    )
    user = MARKS["user"] + suffix
    bad_event = user_event_pb2.UserEvent(
        event_id=f"{MARKS['order']}{suffix}", user_id=f"{user}\x00", search_query=MARKS["query"]
    )
    calls = [
        (shop.events.WriteUserEvents, user_event_service_pb2.WriteUserEventsRequest(events=[bad_event])),
        (shop.searches.Search, search_service_pb2.SearchRequest(query=MARKS["query"], page_token=user)),
        (shop.searches.Search, search_service_pb2.SearchRequest(query=MARKS["query"] * 500, user_id=user)),
        (shop.recommendations.Recommend, recommendation_service_pb2.RecommendRequest(user_id=user * 200)),
        (shop.recommendations.Recommend, recommendation_service_pb2.RecommendRequest(user_id=f"{user}\n{{}}")),
        (shop.profiles.GetUserProfile, profile_service_pb2.GetUserProfileRequest(user_id=f"{user}\x00")),
    ]
    for method, request in calls:
        try:
            await method(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            assert error.code() is not grpc.StatusCode.INTERNAL, error.details()
    for question in ("", MARKS["question"] * 500):
        try:
            async for _ in shop.support.Ask(support_service_pb2.AskRequest(question=question), metadata=metadata):
                pass
        except grpc.aio.AioRpcError as error:
            assert error.code() is not grpc.StatusCode.INTERNAL, error.details()
    unknown = shop.channel.unary_unary(f"/mercato.gateway.v1.SearchService/{user}")
    with pytest.raises(grpc.aio.AioRpcError):
        await unknown(b"", metadata=metadata)
