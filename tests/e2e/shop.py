"""A small shop behind the gateway, for one tenant."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
from mercato.gateway.v1 import (
    operations_service_pb2,
    product_pb2,
    product_service_pb2,
    recommendation_service_pb2,
    search_service_pb2,
    support_document_pb2,
    support_service_pb2,
    user_event_pb2,
    user_event_service_pb2,
)
from mercato.gateway.v1.experiment_service_pb2_grpc import ExperimentServiceStub
from mercato.gateway.v1.operations_service_pb2_grpc import OperationsServiceStub
from mercato.gateway.v1.product_service_pb2_grpc import ProductServiceStub
from mercato.gateway.v1.profile_service_pb2_grpc import ProfileServiceStub
from mercato.gateway.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from mercato.gateway.v1.search_service_pb2_grpc import SearchServiceStub
from mercato.gateway.v1.support_service_pb2_grpc import SupportServiceStub
from mercato.gateway.v1.user_event_service_pb2_grpc import UserEventServiceStub

DAY = 86_400
SHELVES = {
    "Dairy": ["Whole milk", "Skim milk", "Butter", "Greek yogurt", "Cheddar cheese"],
    "Bakery": ["White bread", "Sourdough bread", "Bagels", "Croissants", "Rye bread"],
    "Produce": ["Bananas", "Apples", "Tomatoes", "Carrots", "Spinach"],
    "Coffee": ["Ground coffee", "Espresso beans", "Instant coffee", "Coffee filters", "Decaf coffee"],
}
RETURNS = """# Returns
## Time
You can return most products within 30 days of the purchase. Keep the receipt.
## Money
We refund the way you paid. Card refunds take 3 to 5 working days.
"""


def products() -> list[product_pb2.Product]:
    """Twenty products on four shelves."""
    return [
        product_pb2.Product(
            product_id=f"{shelf.lower()}-{number}",
            title=title,
            brand=f"Maker {number % 3}",
            category_path=["Grocery", shelf],
            price={"units": 1 + number, "nanos": 490_000_000, "currency_code": "USD"},  # type: ignore[arg-type]
            attributes=[{"name": "organic", "texts": ["yes" if number % 2 else "no"]}],  # type: ignore[list-item]
        )
        for shelf, titles in SHELVES.items()
        for number, title in enumerate(titles)
    ]


def purchase(event_id: str, user_id: str, product_ids: Sequence[str], days_ago: float) -> user_event_pb2.UserEvent:
    return user_event_pb2.UserEvent(
        event_id=event_id,
        event_type=user_event_pb2.USER_EVENT_TYPE_PURCHASE,
        event_time={"seconds": int(time.time() - days_ago * DAY)},  # type: ignore[arg-type]
        user_id=user_id,
        products=[{"product_id": product_id, "quantity": 1} for product_id in product_ids],  # type: ignore[misc]
        purchase={"revenue": {"units": 5, "currency_code": "USD"}},  # type: ignore[arg-type]
    )


def year_of_purchases() -> list[user_event_pb2.UserEvent]:
    """Eight people who buy milk and bread together, or coffee and bananas."""
    events = []
    for user in range(8):
        pair = ["dairy-0", "bakery-0"] if user % 2 else ["coffee-0", "produce-0"]
        for week in range(10):
            extra = f"{['produce', 'coffee', 'dairy', 'bakery'][week % 4]}-{1 + (user + week) % 4}"
            events.append(purchase(f"buy-{user}-{week}", f"user-{user}", [*pair, extra], 7 * week + 1 + user / 24))
    return events


class Shop:
    """Calls as one tenant."""

    def __init__(self, channel: grpc.aio.Channel, tenant: str) -> None:
        self.tenant = tenant
        self.channel = channel
        self.metadata = (("mercato-tenant", tenant),)
        self.products = ProductServiceStub(channel)
        self.events = UserEventServiceStub(channel)
        self.recommendations = RecommendationServiceStub(channel)
        self.searches = SearchServiceStub(channel)
        self.support = SupportServiceStub(channel)
        self.profiles = ProfileServiceStub(channel)
        self.operations = OperationsServiceStub(channel)
        self.experiments = ExperimentServiceStub(channel)

    async def call(self, method: Any, request: Any, **options: Any) -> Any:
        return await method(request, metadata=self.metadata, **options)

    async def import_products(
        self, items: Sequence[product_pb2.Product], batch: int = 500
    ) -> list[product_service_pb2.ImportProductsResponse]:
        async def requests() -> AsyncIterator[product_service_pb2.ImportProductsRequest]:
            for start in range(0, len(items), batch):
                yield product_service_pb2.ImportProductsRequest(products=items[start : start + batch])

        return [response async for response in self.products.ImportProducts(requests(), metadata=self.metadata)]

    async def import_document(self, document_id: str, title: str, text: str) -> None:
        async def requests() -> AsyncIterator[support_service_pb2.ImportDocumentsRequest]:
            document = support_document_pb2.SupportDocument(document_id=document_id, title=title, text=text)
            yield support_service_pb2.ImportDocumentsRequest(documents=[document])

        async for _ in self.support.ImportDocuments(requests(), metadata=self.metadata):
            pass

    async def write(self, events: Sequence[user_event_pb2.UserEvent]) -> user_event_service_pb2.WriteUserEventsResponse:
        request = user_event_service_pb2.WriteUserEventsRequest(events=events)
        response: user_event_service_pb2.WriteUserEventsResponse = await self.call(self.events.WriteUserEvents, request)
        return response

    async def train(
        self, kind: operations_service_pb2.TrainingKind.ValueType = operations_service_pb2.TRAINING_KIND_TABLES
    ) -> operations_service_pb2.Release:
        """Trains, and waits until answers use it where it became current."""
        request = operations_service_pb2.TrainRequest(kind=kind)
        steps = [step async for step in self.operations.Train(request, metadata=self.metadata)]
        release = steps[-1].release
        if not release.current:
            return release

        async def loaded() -> bool:
            return (await self.recommend("user-1")).release_id == release.release_id

        await until(loaded)
        return release

    async def recommend(self, user_id: str, **fields: Any) -> recommendation_service_pb2.RecommendResponse:
        request = recommendation_service_pb2.RecommendRequest(user_id=user_id, **fields)
        response: recommendation_service_pb2.RecommendResponse = await self.call(
            self.recommendations.Recommend, request
        )
        return response

    async def search(self, query: str, **fields: Any) -> search_service_pb2.SearchResponse:
        request = search_service_pb2.SearchRequest(query=query, **fields)
        response: search_service_pb2.SearchResponse = await self.call(self.searches.Search, request)
        return response

    async def ask(self, question: str) -> list[support_service_pb2.AskResponse]:
        request = support_service_pb2.AskRequest(question=question)
        return [part async for part in self.support.Ask(request, metadata=self.metadata)]

    async def status(self) -> operations_service_pb2.GetStatusResponse:
        request = operations_service_pb2.GetStatusRequest()
        response: operations_service_pb2.GetStatusResponse = await self.call(self.operations.GetStatus, request)
        return response

    async def indexed_now(self) -> bool:
        """Whether every product is in the index."""
        status = await self.status()
        return status.product_count > 0 and status.unindexed_count == 0

    async def indexed(self) -> None:
        """Waits until every product is in the index."""
        await until(self.indexed_now)

    async def filled(self) -> None:
        """Imports everything, trains, and waits until answers use it."""
        await self.import_products(products())
        await self.write(year_of_purchases())
        await self.import_document("returns", "Returns", RETURNS)
        await self.indexed()
        await self.train()


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 60) -> None:
    """Waits for a condition; errors of calls count as not yet."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                if await condition():
                    return
            except grpc.aio.AioRpcError:
                pass
            await asyncio.sleep(0.1)
