"""Between the contract and the domain. Pure functions; contract messages stop here."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from mercato.gateway.v1 import operations_service_pb2
from mercato.trainer.v1 import trainer_service_pb2 as pb

from services.trainer.domain import Progress, Release, Tables
from services.trainer.ports import TableKind

ITEMS_A_CHUNK = 5000


def release_to_proto(release: Release) -> operations_service_pb2.Release:
    """Writes a release."""
    message = operations_service_pb2.Release(
        release_id=release.release_id,
        current=release.current,
        purchase_count=release.purchase_count,
        user_count=release.user_count,
        product_count=release.product_count,
        pair_count=release.pair_count,
    )
    message.create_time.FromDatetime(release.create_time)
    message.data_end_time.FromDatetime(release.data_end_time)
    return message


def progress_to_proto(progress: Progress | Release) -> pb.TrainResponse:
    """Writes a step, or the end of a job."""
    if isinstance(progress, Release):
        return pb.TrainResponse(step="done", release=release_to_proto(progress))
    return pb.TrainResponse(step=progress.step, done=progress.done, total=progress.total)


def tables_to_chunks(tables: Tables) -> dict[TableKind, list[bytes]]:
    """Cuts the tables into serialized messages of 5,000 items."""
    return {
        "neighbours": [message.SerializeToString() for message in _neighbours(tables)],
        "statistics": [message.SerializeToString() for message in _statistics(tables)],
    }


def _slices(count: int) -> Iterator[slice]:
    for start in range(0, max(count, 1), ITEMS_A_CHUNK):
        yield slice(start, min(start + ITEMS_A_CHUNK, count))


def _neighbours(tables: Tables) -> Iterator[pb.ReadItemNeighboursResponse]:
    table = tables.neighbours
    for part in _slices(len(tables.product_ids)):
        first, last = int(table.offsets[part.start]), int(table.offsets[part.stop])
        yield pb.ReadItemNeighboursResponse(
            product_ids=tables.product_ids[part],
            counts=np.diff(table.offsets[part.start : part.stop + 1]).tolist(),
            neighbours=table.neighbours[first:last].tolist(),
            weights=table.weights[first:last].tolist(),
            dictionary=tables.product_ids if part.start == 0 else (),
        )


def _statistics(tables: Tables) -> Iterator[pb.ReadItemStatisticsResponse]:
    columns = tables.statistics
    for part in _slices(len(tables.product_ids)):
        yield pb.ReadItemStatisticsResponse(
            product_ids=tables.product_ids[part],
            popularities=columns.popularities[part].tolist(),
            trends=columns.trends[part].tolist(),
            repeat_interval_days=columns.repeat_interval_days[part].tolist(),
            repeat_shares=columns.repeat_shares[part].tolist(),
            purchase_counts=columns.purchase_counts[part].tolist(),
            buyer_counts=columns.buyer_counts[part].tolist(),
            data_end_time_s=tables.data_end_time_s if part.start == 0 else 0,
        )
