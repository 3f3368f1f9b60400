"""Between the contract and the domain. Pure functions; contract messages stop here."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from mercato.gateway.v1 import operations_service_pb2
from mercato.trainer.v1 import trainer_service_pb2 as pb

from services.trainer.domain import Progress, Release, Tables
from services.trainer.ports import TableKind

# At the largest number of neighbours a chunk stays below 8 MB.
ITEMS_A_CHUNK = 1000


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
    """Cuts the tables into serialized messages of 1,000 items."""
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
    columns, leaf_indexes = tables.statistics, tables.categories.leaf_indexes
    for part in _slices(len(tables.product_ids)):
        message = pb.ReadItemStatisticsResponse(
            product_ids=tables.product_ids[part],
            popularities=columns.popularities[part].tolist(),
            trends=columns.trends[part].tolist(),
            repeat_interval_days=columns.repeat_interval_days[part].tolist(),
            repurchase_probabilities=columns.repurchase_probabilities[part].tolist(),
            purchase_counts=columns.purchase_counts[part].tolist(),
            buyers_7d=columns.buyers[7][part].tolist(),
            buyers_28d=columns.buyers[28][part].tolist(),
            buyers_56d=columns.buyers[56][part].tolist(),
            buyers_112d=columns.buyers[112][part].tolist(),
            leaf_indexes=leaf_indexes[part].tolist(),
        )
        if part.start == 0:
            message.MergeFrom(_whole_shop(tables))
        yield message


def _whole_shop(tables: Tables) -> pb.ReadItemStatisticsResponse:
    return pb.ReadItemStatisticsResponse(
        leaves=tables.categories.leaves,
        data_end_time_s=tables.data_end_time_s,
        user_count=tables.user_count,
        renewal_probabilities=tables.renewal.probabilities.ravel().tolist(),
        renewal_count_edges=tables.renewal.count_edges.tolist(),
        renewal_day_edges=tables.renewal.day_edges.tolist(),
    )
