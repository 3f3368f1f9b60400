"""Item statistics of the current releases, followed in the background."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import numpy as np
from mercato.trainer.v1 import trainer_service_pb2 as pb
from mercato.trainer.v1.trainer_service_pb2_grpc import TrainerServiceStub

from services.ranking.domain import Doubles, Statistics
from shared.client.failures import remote_errors
from shared.context.request import use_tenant
from shared.errors.base import MercatoError
from shared.telemetry.logs import logger

RETRY_SECONDS = 1.0
READ_TIMEOUT_SECONDS = 60.0

_log = logger("statistics")


class TrainerStatistics:
    """Keeps the statistics of every tenant; while the trainer is down those of before stay."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = TrainerServiceStub(channel)
        self._statistics: dict[str, Statistics] = {}

    def of(self, tenant: str) -> Statistics | None:
        return self._statistics.get(tenant)

    async def run(self) -> None:
        """Follows the trainer until cancelled."""
        while True:
            try:
                with remote_errors("trainer"):
                    async for current in self._stub.WatchReleases(pb.WatchReleasesRequest()):
                        await self._load(current.tenant, current.release.release_id)
            except MercatoError as error:
                _log.info("trainer not followed", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def _load(self, tenant: str, release_id: str) -> None:
        known = self._statistics.get(tenant)
        if known is not None and known.release_id == release_id:
            return
        with use_tenant(tenant):
            call = self._stub.ReadItemStatistics(
                pb.ReadItemStatisticsRequest(release_id=release_id), timeout=READ_TIMEOUT_SECONDS
            )
            parts = [part async for part in call]
        statistics = await asyncio.to_thread(statistics_from_proto, release_id, parts)
        self._statistics[tenant] = statistics
        _log.info("release loaded", release=release_id, products=len(statistics.positions))


def statistics_from_proto(release_id: str, parts: list[pb.ReadItemStatisticsResponse]) -> Statistics:
    """Joins the parts of a stream; the first one speaks of the whole shop."""
    whole = parts[0] if parts else pb.ReadItemStatisticsResponse()
    product_ids = [product_id for part in parts for product_id in part.product_ids]
    buyers_56d = _column(parts, "buyers_56d")
    leaf_indexes = _column(parts, "leaf_indexes").astype(np.int64)
    sizes = (
        np.bincount(leaf_indexes, buyers_56d + 0.5, minlength=len(whole.leaves)) if len(leaf_indexes) else np.empty(0)
    )
    shape = (len(whole.renewal_count_edges) + 1, len(whole.renewal_day_edges) + 1)
    renewal = np.array(whole.renewal_probabilities, dtype=np.float64)
    return Statistics(
        release_id=release_id,
        positions={product_id: position for position, product_id in enumerate(product_ids)},
        buyers_7d=_column(parts, "buyers_7d"),
        buyers_28d=_column(parts, "buyers_28d"),
        buyers_56d=buyers_56d,
        buyers_112d=_column(parts, "buyers_112d"),
        repeat_interval_days=_column(parts, "repeat_interval_days"),
        repurchase_probabilities=_column(parts, "repurchase_probabilities"),
        leaf_sizes=dict(zip(whole.leaves, sizes.tolist(), strict=False)),
        leaf_total=float(sizes.sum()),
        user_count=whole.user_count,
        renewal=renewal.reshape(shape) if renewal.size == shape[0] * shape[1] else np.empty((0, 0)),
        renewal_count_edges=np.array(whole.renewal_count_edges, dtype=np.float64),
        renewal_day_edges=np.array(whole.renewal_day_edges, dtype=np.float64),
    )


def _column(parts: list[Any], name: str) -> Doubles:
    return np.concatenate([np.array(getattr(part, name), dtype=np.float64) for part in parts] or [np.empty(0)])
