"""Between the contract and the domain. Pure functions; contract messages stop here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from mercato.gateway.v1 import operations_service_pb2
from mercato.trainer.v1 import trainer_service_pb2 as pb

from services.trainer.domain import Lineup, Progress, Release, Rollout, RolloutMode, Tables, TrainingKind

# At the largest number of neighbours a chunk stays below 8 MB.
ITEMS_A_CHUNK = 1000
NEIGHBOURS, STATISTICS = "neighbours", "statistics"
"""Names of the artifacts that have a contract of their own: each part of them is one message."""

_KINDS = {
    TrainingKind.TABLES: operations_service_pb2.TRAINING_KIND_TABLES,
    TrainingKind.FULL: operations_service_pb2.TRAINING_KIND_FULL,
    TrainingKind.INCREMENTAL: operations_service_pb2.TRAINING_KIND_INCREMENTAL,
}
_MODES = {
    RolloutMode.SHADOW: operations_service_pb2.ROLLOUT_MODE_SHADOW,
    RolloutMode.CANARY: operations_service_pb2.ROLLOUT_MODE_CANARY,
}


def kind_from_proto(kind: operations_service_pb2.TrainingKind.ValueType) -> TrainingKind | None:
    """Reads a kind; None where none is given."""
    return {value: key for key, value in _KINDS.items()}.get(kind)


def mode_from_proto(mode: operations_service_pb2.RolloutMode.ValueType) -> RolloutMode:
    """Reads a mode."""
    return {value: key for key, value in _MODES.items()}[mode]


def release_to_proto(release: Release) -> operations_service_pb2.Release:
    """Writes a release without its data card."""
    message = operations_service_pb2.Release(
        release_id=release.release_id,
        current=release.current,
        purchase_count=release.purchase_count,
        user_count=release.user_count,
        product_count=release.product_count,
        pair_count=release.pair_count,
        parent_release_id=release.parent_release_id,
        kind=_KINDS[release.kind],
        content_hash=release.content_hash,
        artifacts=[
            operations_service_pb2.ReleaseArtifact(name=one.name, sha256=one.sha256, size_bytes=one.size_bytes)
            for one in release.artifacts
        ],
        metrics=[
            operations_service_pb2.ReleaseMetric(
                name=one.name,
                slice=one.slice,
                model=one.model,
                value=one.value,
                low=one.low,
                high=one.high,
                count=one.count,
            )
            for one in release.metrics
        ],
    )
    if release.gate is not None:
        message.gate.CopyFrom(
            operations_service_pb2.ReleaseGate(passed=release.gate.passed, checks=release.gate.checks)
        )
    message.create_time.FromDatetime(release.create_time)
    message.data_end_time.FromDatetime(release.data_end_time)
    return message


def whole_release_to_proto(release: Release) -> operations_service_pb2.Release:
    """Writes a release with its data card."""
    message = release_to_proto(release)
    message.data_card = release.data_card
    return message


def rollout_to_proto(rollout: Rollout) -> operations_service_pb2.Rollout:
    """Writes a rollout."""
    message = operations_service_pb2.Rollout(
        release_id=rollout.release_id,
        baseline_release_id=rollout.baseline_release_id,
        mode=_MODES[rollout.mode],
        share=rollout.share,
        running=rollout.running,
        finding=rollout.finding,
        arms=[
            operations_service_pb2.RolloutArm(
                release_id=arm.release_id,
                shown_count=arm.shown,
                clicked_count=arm.clicked,
                purchased_count=arm.purchased,
            )
            for arm in rollout.arms
        ],
        difference_low=rollout.difference_low,
        difference_high=rollout.difference_high,
    )
    message.start_time.FromDatetime(rollout.start_time)
    return message


def lineup_to_proto(tenant: str, lineup: Lineup) -> pb.WatchReleasesResponse:
    """Writes what readers must hold; metrics and gates are not for them."""
    return pb.WatchReleasesResponse(
        tenant=tenant,
        release=_slim(lineup.current),
        previous_release=_slim(lineup.previous) if lineup.previous else None,
        trial_release=_slim(lineup.trial) if lineup.trial else None,
        rollout=rollout_to_proto(lineup.rollout) if lineup.rollout else None,
        experiment_releases=[_slim(release) for release in lineup.in_experiments],
    )


def _slim(release: Release) -> operations_service_pb2.Release:
    return release_to_proto(replace(release, metrics=(), gate=None))


def progress_to_proto(progress: Progress | Release) -> pb.TrainResponse:
    """Writes a step, or the end of a job."""
    if isinstance(progress, Release):
        return pb.TrainResponse(step="done", release=release_to_proto(progress))
    return pb.TrainResponse(step=progress.step, done=progress.done, total=progress.total)


def tables_to_chunks(tables: Tables) -> dict[str, list[bytes]]:
    """Cuts the tables into serialized messages of 1,000 items."""
    return {
        NEIGHBOURS: [message.SerializeToString() for message in _neighbours(tables)],
        STATISTICS: [message.SerializeToString() for message in _statistics(tables)],
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
