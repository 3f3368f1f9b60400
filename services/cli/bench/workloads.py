"""What is measured: the calls of a shop in full swing, on the demo's people, products and words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from mercato.gateway.v1 import (
    product_service_pb2,
    recommendation_service_pb2,
    search_service_pb2,
    user_event_pb2,
    user_event_service_pb2,
)

from services.cli.bench.load import Call
from services.cli.client import Gateway
from services.cli.errors import CliError

PEOPLE, PRODUCTS, SEED = 400, 1000, 84
VISITOR, VISITORS = "bench-visitor", 1000
"""So many that none looks like a robot at the rates of one machine."""


@dataclass(frozen=True, slots=True)
class Material:
    """Ids and queries to ask with."""

    users: Sequence[str]
    product_ids: Sequence[str]
    queries: Sequence[str]


async def gather_material(gateway: Gateway) -> Material:
    """Products of the catalogue, people of the demo, queries from titles. Raises CliError on an empty shop."""
    request = product_service_pb2.ListProductsRequest(page_size=PRODUCTS)
    page = await gateway.call(gateway.products.ListProducts, request)
    if not page.products:
        raise CliError("the shop is empty; load the demo first: mercato up --demo")
    random = np.random.default_rng(SEED)
    titles = [product.title for product in page.products]
    queries = [" ".join(titles[int(place)].replace(",", " ").split()[:2]) for place in random.permutation(len(titles))]
    users = [f"household-{number}" for number in random.permutation(np.arange(1, 2470))[:PEOPLE]]
    return Material(users, [product.product_id for product in page.products], queries)


def workloads(gateway: Gateway, material: Material) -> Mapping[str, Call]:
    """The calls by the name of their rpc; request n of a run asks with the n-th person, product or query."""

    async def recommend(number: int) -> object:
        user = material.users[number % len(material.users)]
        request = recommendation_service_pb2.RecommendRequest(user_id=user, page_size=10)
        return await gateway.call(gateway.recommendations.Recommend, request)

    async def search(number: int) -> object:
        query = material.queries[number % len(material.queries)]
        request = search_service_pb2.SearchRequest(query=query, page_size=20)
        return await gateway.call(gateway.searching.Search, request)

    async def similar(number: int) -> object:
        product_id = material.product_ids[number * 7 % len(material.product_ids)]
        request = recommendation_service_pb2.SimilarProductsRequest(product_id=product_id, page_size=10)
        return await gateway.call(gateway.recommendations.SimilarProducts, request)

    run = time.time_ns()

    async def write(number: int) -> object:
        event = user_event_pb2.UserEvent(
            event_id=f"bench-{run}-{number}",
            event_type=user_event_pb2.USER_EVENT_TYPE_PRODUCT_VIEW,
            visitor_id=f"{VISITOR}-{number % VISITORS}",
        )
        event.event_time.GetCurrentTime()
        event.products.add(product_id=material.product_ids[number % len(material.product_ids)])
        return await gateway.call(
            gateway.events.WriteUserEvents, user_event_service_pb2.WriteUserEventsRequest(events=[event])
        )

    return {"Recommend": recommend, "Search": search, "SimilarProducts": similar, "WriteUserEvents": write}


async def clean_up(gateway: Gateway) -> None:
    """Erases what the benchmark wrote."""
    await erase_visitors(gateway, [f"{VISITOR}-{number}" for number in range(VISITORS)])


async def erase_visitors(gateway: Gateway, visitors: Sequence[str]) -> None:
    """Erases visitors, some at once."""
    left = iter(visitors)

    async def eraser() -> None:
        for visitor in left:
            request = user_event_service_pb2.EraseUserDataRequest(visitor_id=visitor)
            await gateway.call(gateway.events.EraseUserData, request)

    await asyncio.gather(*(eraser() for _ in range(4)))
