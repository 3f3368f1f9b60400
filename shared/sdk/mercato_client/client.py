"""The asyncio client: one channel, a typed stub a service."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from types import TracebackType
from typing import Self

import grpc
from mercato.gateway.v1.experiment_service_pb2_grpc import ExperimentServiceStub
from mercato.gateway.v1.operations_service_pb2_grpc import OperationsServiceStub
from mercato.gateway.v1.privacy_service_pb2_grpc import PrivacyServiceStub
from mercato.gateway.v1.product_pb2 import Product
from mercato.gateway.v1.product_service_pb2_grpc import ProductServiceStub
from mercato.gateway.v1.profile_service_pb2_grpc import ProfileServiceStub
from mercato.gateway.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from mercato.gateway.v1.search_service_pb2_grpc import SearchServiceStub
from mercato.gateway.v1.support_document_pb2 import SupportDocument
from mercato.gateway.v1.support_service_pb2_grpc import SupportServiceStub
from mercato.gateway.v1.user_event_pb2 import UserEvent
from mercato.gateway.v1.user_event_service_pb2_grpc import UserEventServiceStub

from mercato_client.importing import DOCUMENTS, EVENTS, PRODUCTS, Import, ImportResult
from mercato_client.interceptors import interceptors
from mercato_client.options import Options


class AsyncMercato:
    """``async with AsyncMercato("127.0.0.1:50050", Options(tenant="shop")) as mercato: ...``.

    Calls are those of the contract: ``await mercato.searching.Search(SearchRequest(query="milk"), timeout=1)``. They
    raise ``grpc.aio.AioRpcError``, which ``problem_of`` reads. Use one client for all calls of a program.
    """

    def __init__(self, address: str, options: Options | None = None) -> None:
        options = options or Options()
        self._channel = _channel(address, options)
        self.products = ProductServiceStub(self._channel)
        self.events = UserEventServiceStub(self._channel)
        self.recommendations = RecommendationServiceStub(self._channel)
        self.searching = SearchServiceStub(self._channel)
        self.support = SupportServiceStub(self._channel)
        self.profiles = ProfileServiceStub(self._channel)
        self.operations = OperationsServiceStub(self._channel)
        self.experiments = ExperimentServiceStub(self._channel)
        self.privacy = PrivacyServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection; running calls are cancelled."""
        await self._channel.close()

    async def import_products(self, items: Iterable[Product] | AsyncIterable[Product]) -> ImportResult:
        """Writes any number of products. Raises ImportFailed; what was acknowledged before stays stored."""
        return await Import(PRODUCTS, self.products.ImportProducts).run(items)

    async def import_events(self, items: Iterable[UserEvent] | AsyncIterable[UserEvent]) -> ImportResult:
        """Writes any number of events, each stored once whatever is sent again. Raises ImportFailed."""
        return await Import(EVENTS, self.events.WriteUserEventStream).run(items)

    async def import_documents(self, items: Iterable[SupportDocument] | AsyncIterable[SupportDocument]) -> ImportResult:
        """Writes any number of documents. Raises ImportFailed."""
        return await Import(DOCUMENTS, self.support.ImportDocuments).run(items)


def _channel(address: str, options: Options) -> grpc.aio.Channel:
    arguments: list[tuple[str, int | str]] = [
        ("grpc.max_receive_message_length", options.max_message_bytes),
        ("grpc.max_send_message_length", options.max_message_bytes),
        # A status with many violations is larger than the default of 8 KiB.
        ("grpc.max_metadata_size", 64 * 1024),
        # A gateway that is back is found within a second.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        # A peer that vanished without a word is noticed.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.lb_policy_name", "round_robin"),
    ]
    if not options.tls:
        return grpc.aio.insecure_channel(address, options=arguments, interceptors=interceptors(options))
    credentials = grpc.ssl_channel_credentials(root_certificates=options.ca)
    return grpc.aio.secure_channel(address, credentials, options=arguments, interceptors=interceptors(options))
