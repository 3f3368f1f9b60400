"""How every service and backing system is, within a short time and never an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import metadata
from typing import TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from mercato.catalog.v1 import catalog_service_pb2
from mercato.gateway.v1 import operations_service_pb2 as pb
from mercato.profile.v1 import profile_service_pb2
from mercato.support.v1 import support_service_pb2
from mercato.trainer.v1 import trainer_service_pb2

from services.gateway.stubs import Stubs
from shared.client.failures import remote_errors
from shared.context.request import use_deadline
from shared.errors.base import MercatoError

T = TypeVar("T")
CHECK_SECONDS = 1.5
DEPENDENCIES = {
    "catalog": ("postgres", "encoder", "retrieval"),
    "profile": ("postgres", "catalog"),
    "encoder": ("triton", "trainer"),
    "retrieval": ("milvus", "trainer"),
    "ranking": ("trainer", "triton"),
    "support": ("postgres", "encoder", "retrieval"),
    "trainer": ("postgres", "profile", "catalog", "retrieval"),
}
"""What each service says of its dependencies, as `dependency:<name>` in its health service."""


class Status:
    """Asks all services at once."""

    def __init__(self, stubs: Stubs) -> None:
        self._stubs = stubs

    async def __call__(self) -> pb.GetStatusResponse:
        """Answers with what could be learnt."""
        components = asyncio.gather(*(self._component(name) for name in DEPENDENCIES))
        catalog, profile, support, trainer = await asyncio.gather(
            _or_none(lambda: self._stubs.catalog.GetCatalogState(catalog_service_pb2.GetCatalogStateRequest())),
            _or_none(lambda: self._stubs.profile.GetEventState(profile_service_pb2.GetEventStateRequest())),
            _or_none(lambda: self._stubs.support.GetSupportState(support_service_pb2.GetSupportStateRequest())),
            _or_none(lambda: self._stubs.trainer.GetCurrentRelease(trainer_service_pb2.GetCurrentReleaseRequest())),
        )
        return pb.GetStatusResponse(
            version=_version(),
            components=await components,
            product_count=catalog.product_count if catalog else 0,
            unindexed_count=catalog.unindexed_count if catalog else 0,
            event_count=profile.event_count if profile else 0,
            document_count=support.document_count if support else 0,
            release=trainer.release if trainer else None,
        )

    async def _component(self, name: str) -> pb.ComponentStatus:
        health = health_pb2_grpc.HealthStub(self._stubs.channels[name])
        own, *dependencies = await asyncio.gather(
            _serving(health, ""), *(_serving(health, f"dependency:{other}") for other in DEPENDENCIES[name])
        )
        return pb.ComponentStatus(
            name=name,
            healthy=own == "",
            detail=own,
            dependencies=[
                pb.ComponentStatus(name=other, healthy=detail == "", detail=detail)
                for other, detail in zip(DEPENDENCIES[name], dependencies, strict=True)
            ],
        )


async def _serving(health: health_pb2_grpc.HealthStub, service: str) -> str:
    """Empty when it serves, else why not."""
    response = await _or_none(lambda: health.Check(health_pb2.HealthCheckRequest(service=service)))
    if response is None:
        return "does not answer"
    serving = response.status == health_pb2.HealthCheckResponse.SERVING
    return "" if serving else "not serving"


async def _or_none(start: Callable[[], Awaitable[T]]) -> T | None:
    try:
        with use_deadline(CHECK_SECONDS), remote_errors("status"):
            return await start()
    except (MercatoError, grpc.aio.AioRpcError):
        return None


def _version() -> str:
    try:
        return metadata.version("mercato")
    except metadata.PackageNotFoundError:
        return "source"
