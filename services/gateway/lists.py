"""Popular products and neighbours of the current release, kept in memory for when other services are down."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import grpc
from mercato.trainer.v1 import trainer_service_pb2 as pb
from mercato.trainer.v1.trainer_service_pb2_grpc import TrainerServiceStub

from shared.client.failures import remote_errors
from shared.context.request import use_tenant
from shared.errors.base import MercatoError
from shared.telemetry.logs import logger

POPULAR, NEIGHBOURS = 500, 20
RETRY_SECONDS = 1.0
READ_TIMEOUT_SECONDS = 60.0

_log = logger("lists")


@dataclass(frozen=True, slots=True)
class ReleaseLists:
    """Popular products, best first; the strongest neighbours of each product with their weights."""

    release_id: str = ""
    popular: tuple[str, ...] = ()
    neighbours: Mapping[str, tuple[tuple[str, float], ...]] = field(default_factory=dict)

    def bought_together(self, seeds: Iterable[tuple[str, float]]) -> list[str]:
        """Neighbours of weighted products, strongest first, without the products themselves."""
        scores: dict[str, float] = {}
        given = dict(seeds)
        for product_id, weight in given.items():
            for neighbour, strength in self.neighbours.get(product_id, ()):
                if neighbour not in given:
                    scores[neighbour] = scores.get(neighbour, 0.0) + weight * strength
        return sorted(scores, key=lambda product_id: (-scores[product_id], product_id))


class ListKeeper:
    """Follows the trainer; when it is down the lists stay."""

    def __init__(self, trainer: TrainerServiceStub) -> None:
        self._trainer = trainer
        self._lists: dict[str, ReleaseLists] = {}

    def of(self, tenant: str) -> ReleaseLists:
        """The lists of a tenant; empty when it has no release."""
        return self._lists.get(tenant, ReleaseLists())

    async def run(self) -> None:
        """Follows until cancelled."""
        while True:
            try:
                with remote_errors("trainer"):
                    async for current in self._trainer.WatchReleases(pb.WatchReleasesRequest()):
                        await self._load(current.tenant, current.release.release_id)
            except (MercatoError, grpc.aio.AioRpcError) as error:
                _log.info("trainer not followed", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def _load(self, tenant: str, release_id: str) -> None:
        if self.of(tenant).release_id == release_id:
            return
        with use_tenant(tenant):
            popular = await self._popular(release_id)
            neighbours = await self._neighbours(release_id)
        self._lists[tenant] = ReleaseLists(release_id, popular, neighbours)
        _log.info("release loaded", release=release_id, products=len(neighbours))

    async def _popular(self, release_id: str) -> tuple[str, ...]:
        found: list[tuple[int, str]] = []
        request = pb.ReadItemStatisticsRequest(release_id=release_id)
        async for part in self._trainer.ReadItemStatistics(request, timeout=READ_TIMEOUT_SECONDS):
            found += [
                (-buyers, product_id) for buyers, product_id in zip(part.buyers_56d, part.product_ids, strict=True)
            ]
        return tuple(product_id for _, product_id in sorted(found)[:POPULAR])

    async def _neighbours(self, release_id: str) -> dict[str, tuple[tuple[str, float], ...]]:
        found: dict[str, tuple[tuple[str, float], ...]] = {}
        names: list[str] = []
        request = pb.ReadItemNeighboursRequest(release_id=release_id)
        async for part in self._trainer.ReadItemNeighbours(request, timeout=READ_TIMEOUT_SECONDS):
            names = names or list(part.dictionary)
            neighbours, weights, start = list(part.neighbours), list(part.weights), 0
            for product_id, count in zip(part.product_ids, part.counts, strict=True):
                rows = range(start, start + min(count, NEIGHBOURS))
                found[product_id] = tuple((names[neighbours[row]], weights[row]) for row in rows if weights[row] > 0.0)
                start += count
            await asyncio.sleep(0)  # between chunks others are served
        return found
