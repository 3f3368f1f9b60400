"""Every step of the ladder, by pausing what it stands on: something useful is said in time, and what was missing is named."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc
import pytest
from mercato.gateway.v1 import recommendation_pb2, search_service_pb2, support_service_pb2, user_event_service_pb2
from mercato.gateway.v1 import recommendation_service_pb2 as pb

from tests.e2e.conftest import Running
from tests.e2e.shop import Shop, purchase, until

SECONDS = 8.0
"""Longest answer; the gateway's own times are shorter."""
Stage, Substitute = recommendation_pb2.Stage, recommendation_pb2.Substitute
MissingStage = recommendation_pb2.MissingStage


def family(pid: int) -> list[int]:
    """A process and all below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
        except OSError:
            continue  # ended meanwhile
        if fields:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


@asynccontextmanager
async def paused(running: Running, shop: Shop, *units: str) -> AsyncIterator[None]:
    """Processes that take calls and never answer; goes on when all is whole again."""
    heads = [running.suite.suite.unit(unit).pid for unit in units]
    pids = [pid for head in heads if head is not None for pid in family(head)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):  # the supervisor took it for dead, and killed it
                os.kill(pid, signal.SIGCONT)
    await until(lambda: whole(shop), 90)


async def whole(shop: Shop) -> bool:
    """Whether nothing is missing anywhere."""
    answer, page = await recommend(shop), await search(shop, "bread")
    conclusion = await ask(shop)
    missing = [*answer.missing_stages, *page.missing_stages, *conclusion.missing_stages]
    return not missing and bool(answer.results) and bool(page.results)


async def recommend(shop: Shop, user_id: str = "user-1", **fields: object) -> pb.RecommendResponse:
    request = pb.RecommendRequest(user_id=user_id, page_size=5, **fields)  # type: ignore[arg-type]
    answer: pb.RecommendResponse = await shop.call(shop.recommendations.Recommend, request, timeout=SECONDS)
    return answer


async def similar(shop: Shop, product_id: str) -> pb.SimilarProductsResponse:
    request = pb.SimilarProductsRequest(product_id=product_id, page_size=5)
    answer: pb.SimilarProductsResponse = await shop.call(shop.recommendations.SimilarProducts, request, timeout=SECONDS)
    return answer


async def search(shop: Shop, query: str, **fields: object) -> search_service_pb2.SearchResponse:
    request = search_service_pb2.SearchRequest(query=query, user_id="user-1", **fields)  # type: ignore[arg-type]
    answer: search_service_pb2.SearchResponse = await shop.call(shop.searches.Search, request, timeout=SECONDS)
    return answer


async def ask(shop: Shop) -> support_service_pb2.Conclusion:
    request = support_service_pb2.AskRequest(question="How many days do I have to return a product?")
    call = shop.support.Ask(request, metadata=shop.metadata, timeout=20)
    return [part async for part in call][-1].conclusion


def named(missing: Iterable[MissingStage]) -> dict[str, str]:
    """Stages and what stood in for them, as names."""
    return {
        Stage.Name(one.stage).removeprefix("STAGE_"): Substitute.Name(one.substitute).removeprefix("SUBSTITUTE_")
        for one in missing
    }


def ids(answer: pb.RecommendResponse | pb.SimilarProductsResponse | search_service_pb2.SearchResponse) -> list[str]:
    return [one.product.product_id for one in answer.results]


async def holds_lists(shop: Shop) -> bool:
    """Whether the gateway has read the lists of a release; without retrieval it answers by them."""
    return "RELEASE" not in named((await recommend(shop)).missing_stages)


@pytest.fixture
async def full(shop: Shop) -> Shop:
    """A shop whose products, searches and people were seen by the gateway."""

    async def filled() -> bool:
        await shop.filled()
        return True

    await until(filled, 120)
    await until(lambda: whole(shop), 90)
    assert named((await similar(shop, "dairy-0")).missing_stages) == {}
    return shop


async def test_without_ranking_retrieval_orders(running: Running, full: Shop) -> None:
    async with paused(running, full, "ranking"):
        answer = await recommend(full)
        assert named(answer.missing_stages) == {"RANKING": "RETRIEVAL_ORDER"}
        assert {"dairy-0", "bakery-0"} & set(ids(answer)[:3]), "what the person buys"
        assert len(answer.results) == 5
        assert answer.attribution_token
        page = await search(full, "bread")
        assert "RANKING" in named(page.missing_stages)
        assert "bakery-0" in ids(page)


async def test_without_retrieval_lists_in_memory_answer(running: Running, full: Shop) -> None:
    async with paused(running, full, "retrieval"):
        await until(lambda: holds_lists(full))
        answer = await recommend(full)
        assert named(answer.missing_stages) == {"RETRIEVAL": "LISTS"}
        assert {"dairy-0", "bakery-0"} <= set(ids(answer)), "bought before, and together"
        unknown = await recommend(full, "nobody-yet")
        assert len(unknown.results) == 5
        shelf = await recommend(full, "nobody-yet", context={"category": "Coffee"})
        assert shelf.results
        assert all("Coffee" in one.product.category_path for one in shelf.results)
        alike = await similar(full, "dairy-0")
        assert named(alike.missing_stages) == {"RETRIEVAL": "LISTS"}
        assert "bakery-0" in ids(alike)
        page = await search(full, "bread")
        assert named(page.missing_stages)["RETRIEVAL"] == "REMEMBERED_SEARCH"
        assert ids(page)[0].startswith("bakery")
        restricted = {"attributes": [{"name": "organic", "texts": ["yes"]}]}
        assert not (await recommend(full, filter=restricted)).results, "nothing that a filter may forbid"
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await search(full, "bread", filter=restricted)
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_without_profile_what_was_known_lately_or_the_session_counts(running: Running, full: Shop) -> None:
    await recommend(full, "user-2")
    async with paused(running, full, "profile"):
        answer = await recommend(full, "user-2")
        assert named(answer.missing_stages) == {"PROFILE": "REMEMBERED_PROFILE"}
        assert answer.missing_stages[0].HasField("age")
        assert {"coffee-0", "produce-0"} & set(ids(answer)[:3])
        session = await recommend(full, "never-seen", context={"cart_product_ids": ["dairy-0"]})
        assert named(session.missing_stages) == {"PROFILE": "SESSION"}
        assert len(session.results) == 5
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await full.call(full.events.WriteUserEvents, _event(), timeout=3)
        assert error.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def _event() -> user_event_service_pb2.WriteUserEventsRequest:
    return user_event_service_pb2.WriteUserEventsRequest(events=[purchase("while-away", "user-1", ["dairy-0"], 0.1)])


async def test_without_the_catalogue_products_are_as_they_were_seen(running: Running, full: Shop) -> None:
    async with paused(running, full, "catalog"):
        answer = await recommend(full)
        assert named(answer.missing_stages) == {"CATALOG": "REMEMBERED_PRODUCTS"}
        assert answer.missing_stages[0].HasField("age")
        assert answer.results[0].product.title
        page = await search(full, "bread")
        assert named(page.missing_stages)["CATALOG"] == "REMEMBERED_PRODUCTS"
        assert page.results[0].product.title


async def test_without_the_encoder_words_are_searched_and_questions_are_handed_over(
    running: Running, full: Shop
) -> None:
    async with paused(running, full, "encoder"):
        page = await search(full, "bread")
        assert named(page.missing_stages)["ENCODER"] == "WORDS"
        assert "bakery-0" in ids(page)
        conclusion = await ask(full)
        assert conclusion.outcome == support_service_pb2.ANSWER_OUTCOME_UNANSWERED
        assert conclusion.handover
        assert named(conclusion.missing_stages) == {"ENCODER": "HANDOVER"}


async def test_without_triton_new_texts_are_searched_by_words(running: Running, full: Shop) -> None:
    async with paused(running, full, "triton"):
        page = await search(full, "sourdough or rye bread for tonight")
        assert {"ENCODER", "VECTOR_INDEX"} & named(page.missing_stages).keys()
        assert any(one.startswith("bakery") for one in ids(page))
        assert (await recommend(full)).results


async def test_without_milvus_memory_answers(running: Running, full: Shop) -> None:
    async with paused(running, full, "milvus"):
        answer = await recommend(full)
        assert len(answer.results) == 5, "whole where memory holds the neighbours, else without that channel"
        assert named(answer.missing_stages).keys() <= {"VECTOR_INDEX", "RETRIEVAL"}
        assert ids(await similar(full, "dairy-0"))
        page = await search(full, "rye bread")
        assert {"VECTOR_INDEX", "RETRIEVAL"} & named(page.missing_stages).keys()
        assert any(one.startswith("bakery") for one in ids(page))


async def test_without_postgres_shoppers_are_answered_and_nothing_is_acknowledged(running: Running, full: Shop) -> None:
    await recommend(full, "user-3")
    async with paused(running, full, "postgres"):
        answer = await recommend(full, "user-3")
        assert answer.results
        assert answer.results[0].product.title
        assert "CATALOG" in named(answer.missing_stages)
        assert (await search(full, "bread")).results
        conclusion = await ask(full)
        assert named(conclusion.missing_stages) == {"DOCUMENTS": "HANDOVER"}
        with pytest.raises(grpc.aio.AioRpcError):
            await full.call(full.events.WriteUserEvents, _event(), timeout=3)


async def test_without_everything_behind_it_the_gateway_still_says_something(running: Running, full: Shop) -> None:
    async with paused(running, full, "retrieval"):
        await until(lambda: holds_lists(full))
    async with paused(running, full, "profile", "retrieval", "ranking", "catalog", "encoder", "trainer"):
        answer = await recommend(full)
        assert named(answer.missing_stages) == {
            "PROFILE": "REMEMBERED_PROFILE",
            "RETRIEVAL": "LISTS",
            "CATALOG": "REMEMBERED_PRODUCTS",
        }
        assert answer.results[0].product.title
        assert (await search(full, "bread")).results
        assert (await similar(full, "dairy-0")).results
    response = await full.write(_event().events)
    assert response.accepted_count + response.duplicate_count == 1
