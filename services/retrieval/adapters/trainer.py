"""Releases of the trainer, over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import grpc
import numpy as np
from mercato.trainer.v1 import trainer_service_pb2 as pb
from mercato.trainer.v1 import trainer_service_pb2_grpc
from typing_extensions import override

from services.retrieval.domain.release import Floats, Ints, Longs, ReleaseLists
from services.retrieval.ports import ReleaseSource
from shared.client.failures import remote_errors
from shared.context.request import use_tenant


class TrainerReleases(ReleaseSource):
    """Follows and reads releases."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = trainer_service_pb2_grpc.TrainerServiceStub(channel)

    @override
    async def watch(self) -> AsyncIterator[tuple[str, str]]:
        with remote_errors("trainer"):
            async for message in self._stub.WatchReleases(pb.WatchReleasesRequest()):
                yield message.tenant, message.release.release_id

    @override
    async def read(self, tenant: str, release_id: str) -> ReleaseLists:
        with use_tenant(tenant), remote_errors("trainer"):
            neighbours = [
                part
                async for part in self._stub.ReadItemNeighbours(pb.ReadItemNeighboursRequest(release_id=release_id))
            ]
            statistics = [
                part
                async for part in self._stub.ReadItemStatistics(pb.ReadItemStatisticsRequest(release_id=release_id))
            ]
        return release_lists(release_id, neighbours, statistics)


def release_lists(
    release_id: str,
    neighbours: Sequence[pb.ReadItemNeighboursResponse],
    statistics: Sequence[pb.ReadItemStatisticsResponse],
) -> ReleaseLists:
    """Joins the parts of a release. Items are numbered by the dictionary, then those that only have statistics."""
    numbers: dict[str, int] = {}
    for product_id in (*(one for part in neighbours for one in part.dictionary), *_ids(statistics)):
        numbers.setdefault(product_id, len(numbers))
    offsets, targets, weights = _csr(numbers, neighbours)
    popularities, trends = np.zeros(len(numbers), np.float32), np.ones(len(numbers), np.float32)
    for part in statistics:
        items = np.array([numbers[product_id] for product_id in part.product_ids], np.int64)
        popularities[items] = np.array(part.popularities, np.float32)
        trends[items] = np.array(part.trends, np.float32)
    return ReleaseLists(release_id, numbers, offsets, targets, weights, popularities, trends)


def _ids(statistics: Sequence[pb.ReadItemStatisticsResponse]) -> list[str]:
    return [product_id for part in statistics for product_id in part.product_ids]


def _csr(numbers: dict[str, int], parts: Sequence[pb.ReadItemNeighboursResponse]) -> tuple[Longs, Ints, Floats]:
    """Offsets, neighbours and weights by item number; items of the parts may come in any order."""
    empty = np.empty(0)
    owners = np.array([numbers[product_id] for part in parts for product_id in part.product_ids], np.int64)
    counts = np.concatenate([empty, *(np.array(part.counts, np.int64) for part in parts)]).astype(np.int64)
    targets = np.concatenate([empty, *(np.array(part.neighbours, np.int32) for part in parts)]).astype(np.int32)
    weights = np.concatenate([empty, *(np.array(part.weights, np.float32) for part in parts)]).astype(np.float32)
    rows = np.repeat(owners, counts)
    order = np.argsort(rows, kind="stable")
    offsets = np.zeros(len(numbers) + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=len(numbers)), out=offsets[1:])
    return offsets, targets[order], weights[order]
