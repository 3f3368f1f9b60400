"""The realistic mix: what a shop's pages ask for while people look round, search, buy and ask.

Shares are those of page views of a mid-sized shop: mostly browsing, one search in ten, few questions. Objectives are
those of `deploy/monitoring/objectives.yaml` for Recommend and Search: 99 in 100 accepted requests must be as fast.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from mercato.gateway.v1 import (
    product_service_pb2,
    recommendation_service_pb2,
    search_service_pb2,
    support_service_pb2,
)

from services.cli.bench.ledger import EventLedger
from services.cli.bench.load import Call
from services.cli.bench.workloads import Material
from services.cli.client import Gateway

CALL_SECONDS = 5.0
QUESTIONS = (
    "Do gift cards expire?",
    "How long can I return a product?",
    "How much is delivery?",
    "Can I change my order?",
    "Is there parking at the store?",
)


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of request of the mix."""

    share: float
    objective_ms: float
    """99th percentile of accepted requests."""


PARTS: Mapping[str, Part] = {
    "GetProduct": Part(0.30, 250),
    "SimilarProducts": Part(0.20, 250),
    "Recommend": Part(0.20, 250),
    "WriteUserEvents": Part(0.18, 250),
    "Search": Part(0.10, 500),
    "Ask": Part(0.02, 1000),
}


def mix_calls(gateway: Gateway, material: Material, ledger: EventLedger) -> dict[str, Call]:
    """The calls by name; number n of a call asks for the n-th product, person or question."""

    async def product(number: int) -> object:
        product_id = _turn(material.product_ids, number * 13)
        request = product_service_pb2.GetProductRequest(product_id=product_id)
        return await gateway.call(gateway.products.GetProduct, request, CALL_SECONDS)

    async def similar(number: int) -> object:
        product_id = _turn(material.product_ids, number * 7)
        request = recommendation_service_pb2.SimilarProductsRequest(product_id=product_id, page_size=10)
        return await gateway.call(gateway.recommendations.SimilarProducts, request, CALL_SECONDS)

    async def recommend(number: int) -> object:
        request = recommendation_service_pb2.RecommendRequest(user_id=_turn(material.users, number), page_size=10)
        return await gateway.call(gateway.recommendations.Recommend, request, CALL_SECONDS)

    async def search(number: int) -> object:
        request = search_service_pb2.SearchRequest(query=_turn(material.queries, number), page_size=20)
        return await gateway.call(gateway.searching.Search, request, CALL_SECONDS)

    async def ask(number: int) -> object:
        request = support_service_pb2.AskRequest(question=_turn(QUESTIONS, number))
        async with asyncio.timeout(CALL_SECONDS):
            return [part async for part in gateway.stream(gateway.support.Ask, request)]

    async def write(number: int) -> object:
        return await ledger.write(gateway, _turn(material.product_ids, number))

    return {
        "GetProduct": product,
        "SimilarProducts": similar,
        "Recommend": recommend,
        "WriteUserEvents": write,
        "Search": search,
        "Ask": ask,
    }


def _turn(values: Sequence[str], number: int) -> str:
    return values[number % len(values)]


def draw(random: np.random.Generator, count: int) -> list[str]:
    """Names of ``count`` requests by their shares."""
    names = list(PARTS)
    shares = np.array([PARTS[name].share for name in names])
    return [names[place] for place in random.choice(len(names), size=count, p=shares / shares.sum())]
