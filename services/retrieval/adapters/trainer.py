"""Releases of the trainer as lists."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc
import numpy as np
from mercato.trainer.v1 import trainer_service_pb2 as pb
from mercato.trainer.v1.trainer_service_pb2_grpc import TrainerServiceStub
from typing_extensions import override

from services.retrieval.domain.behaviour import BehaviourVectors
from services.retrieval.domain.release import Floats, Ints, Longs, ReleaseLists
from services.retrieval.ports import ReleaseRecord
from shared.client.failures import remote_errors
from shared.release.behaviour import read_products
from shared.release.reader import ReleaseReader

SECONDS = 10.0
_PAGE = 100


class TrainerRecord(ReleaseRecord):
    """Asks `mercato.trainer.v1.ListReleases`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = TrainerServiceStub(channel)

    @override
    async def kept(self) -> set[str]:
        found: set[str] = set()
        request = pb.ListReleasesRequest(page_size=_PAGE)
        while True:
            with remote_errors("trainer"):
                page = await self._stub.ListReleases(request, timeout=SECONDS)
            found |= {release.release_id for release in page.releases}
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token


async def read_lists(reader: ReleaseReader) -> ReleaseLists:
    """Reads a release. Raises Unavailable, DeadlineExceeded, NotFound."""
    neighbours, statistics = await reader.neighbours(), await reader.statistics()
    products = await read_products(reader)
    behaviour = BehaviourVectors(products.product_ids, products.vectors) if products is not None else None
    return await asyncio.to_thread(release_lists, reader.release_id, neighbours, statistics, behaviour)


def release_lists(
    release_id: str,
    neighbours: Sequence[pb.ReadItemNeighboursResponse],
    statistics: Sequence[pb.ReadItemStatisticsResponse],
    behaviour: BehaviourVectors | None = None,
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
    return ReleaseLists(release_id, numbers, offsets, targets, weights, popularities, trends, behaviour)


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
