"""Experiments as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from psycopg.types.json import Jsonb

from services.trainer.experiments.domain import (
    Buckets,
    Experiment,
    ListKind,
    Metric,
    Money,
    Parameters,
    Ranker,
    State,
    Variant,
)

DEFINED = (
    "description", "share", "variants", "list_kinds", "outcome_window_s", "primary_metric", "guardrails", "alpha",
    "revenue_cap",
)  # fmt: skip
"""Fields that stand in the column `definition`."""


def values_of(tenant: str, experiment: Experiment) -> dict[str, Any]:
    """Arguments of `insert_experiment` and `update_experiment`."""
    whole = asdict(experiment)
    return {
        "tenant": tenant,
        "id": experiment.experiment_id,
        "state": str(experiment.state),
        "layer": experiment.layer,
        "salt": experiment.salt,
        "definition": Jsonb({name: whole[name] for name in DEFINED}),
        "release_ids": sorted(experiment.release_ids()),
        "buckets": Jsonb([[one.first, one.count] for one in experiment.buckets]),
        "create_time": experiment.create_time,
        "start_time": experiment.start_time,
        "end_time": experiment.end_time,
        "stop_time": experiment.stop_time,
        "stop_cause": experiment.stop_cause,
    }


def experiment_of(row: Sequence[Any]) -> Experiment:
    """Reads a row of `get_experiment`."""
    said = row[4]
    return Experiment(
        experiment_id=row[0],
        state=State(row[1]),
        layer=row[2],
        salt=row[3],
        description=said["description"],
        share=said["share"],
        variants=tuple(_variant(one) for one in said["variants"]),
        list_kinds=tuple(ListKind(one) for one in said["list_kinds"]),
        outcome_window_s=said["outcome_window_s"],
        primary_metric=Metric(said["primary_metric"]),
        guardrails=tuple(Metric(one) for one in said["guardrails"]),
        alpha=said["alpha"],
        revenue_cap=Money(**said["revenue_cap"]) if said["revenue_cap"] else None,
        buckets=tuple(Buckets(first, count) for first, count in row[5]),
        create_time=row[6],
        start_time=row[7],
        end_time=row[8],
        stop_time=row[9],
        stop_cause=row[10],
    )


def _variant(said: dict[str, Any]) -> Variant:
    given = dict(said["parameters"])
    ranker = given.pop("ranker")
    parameters = Parameters(ranker=Ranker(ranker) if ranker else None, **given)
    return Variant(variant_id=said["variant_id"], share=said["share"], parameters=parameters)
