"""Releases and rollouts as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from psycopg.types.json import Jsonb

from services.trainer.domain import (
    Arm,
    Artifact,
    Gate,
    Metric,
    Release,
    Rollout,
    RolloutMode,
    TrainingKind,
)


def release_of(row: Sequence[Any]) -> Release:
    """Reads a row of `get_releases`."""
    metrics, gate, data_card, artifacts = row[11:15]
    return Release(
        release_id=row[0],
        create_time=row[1],
        current=row[2],
        data_end_time=row[3],
        purchase_count=row[4],
        user_count=row[5],
        product_count=row[6],
        pair_count=row[7],
        parent_release_id=row[8],
        kind=TrainingKind(row[9]),
        content_hash=row[10],
        artifacts=tuple(Artifact(*one) for one in artifacts),
        metrics=tuple(Metric(**one) for one in metrics),
        gate=Gate(gate["passed"], tuple(gate["checks"])) if gate is not None else None,
        data_card=data_card,
    )


def values_of(tenant: str, release: Release) -> dict[str, Any]:
    """Arguments of `insert_release`."""
    return {
        "tenant": tenant,
        "id": release.release_id,
        "create_time": release.create_time,
        "data_end_time": release.data_end_time,
        "purchases": release.purchase_count,
        "users": release.user_count,
        "products": release.product_count,
        "pairs": release.pair_count,
        "parent": release.parent_release_id or None,
        "kind": str(release.kind),
        "content_hash": release.content_hash,
        "metrics": Jsonb([asdict(one) for one in release.metrics]),
        "gate": Jsonb(asdict(release.gate)) if release.gate else None,
        "data_card": release.data_card,
    }


def rollout_of(row: Sequence[Any]) -> Rollout:
    """Reads a row of `get_rollout`."""
    return Rollout(
        release_id=row[0],
        baseline_release_id=row[1],
        mode=RolloutMode(row[2]),
        share=row[3],
        start_time=row[4],
        running=row[5],
        finding=row[6],
        arms=tuple(Arm(**one) for one in row[7]),
        difference_low=row[8],
        difference_high=row[9],
    )
