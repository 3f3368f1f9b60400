"""Experiments between the contract and the domain. Pure functions; contract messages stop here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

from google.type import money_pb2
from mercato.gateway.v1 import experiment_pb2 as pb
from mercato.trainer.v1 import experiment_service_pb2 as internal_pb

from services.trainer.errors import InvalidUpdateMask
from services.trainer.experiments.domain import (
    Experiment,
    ListKind,
    Metric,
    Money,
    Parameters,
    Ranker,
    State,
    Variant,
)

NANOS = 1e9
READ_ONLY = frozenset({"experiment_id", "state", "create_time", "start_time", "stop_time", "stop_cause", "buckets"})
HARMLESS = frozenset({"description", "end_time"})
"""Fields that may change while people see the experiment."""
DOMAIN_NAMES = {"outcome_window": "outcome_window_s"}

STATES = {state: pb.ExperimentState.Value(f"EXPERIMENT_STATE_{state.name}") for state in State}
METRICS = {metric: pb.ExperimentMetric.Value(f"EXPERIMENT_METRIC_{metric.name}") for metric in Metric}
LIST_KINDS = {kind: pb.ListKind.Value(f"LIST_KIND_{kind.name}") for kind in ListKind}
RANKERS = {ranker: pb.VariantRanker.Value(f"VARIANT_RANKER_{ranker.name}") for ranker in Ranker}


def state_from_proto(state: pb.ExperimentState.ValueType) -> State | None:
    """Reads a state; None where none is given."""
    return {value: key for key, value in STATES.items()}.get(state)


def experiment_from_proto(message: pb.Experiment) -> Experiment:
    """Reads an experiment; what is output only is left out."""
    metrics = {value: key for key, value in METRICS.items()}
    kinds = {value: key for key, value in LIST_KINDS.items()}
    defaults = Experiment(experiment_id=message.experiment_id, variants=())
    window_s = message.outcome_window.ToNanoseconds() / NANOS if message.HasField("outcome_window") else 0.0
    return replace(
        defaults,
        description=message.description,
        layer=message.layer,
        share=message.share or defaults.share,
        variants=tuple(_variant_from_proto(one) for one in message.variants),
        list_kinds=tuple(kinds[one] for one in message.list_kinds),
        outcome_window_s=window_s or defaults.outcome_window_s,
        primary_metric=metrics.get(message.primary_metric, defaults.primary_metric),
        guardrails=tuple(metrics[one] for one in message.guardrails),
        alpha=message.alpha or defaults.alpha,
        revenue_cap=_money_from_proto(message.revenue_cap) if message.HasField("revenue_cap") else None,
        end_time=message.end_time.ToDatetime(UTC) if message.HasField("end_time") else None,
    )


def merger(message: pb.Experiment, paths: Sequence[str]) -> tuple[Callable[[Experiment], Experiment], bool]:
    """What an update does to a stored experiment, and whether it may while that runs. Raises InvalidUpdateMask.

    An empty mask names all fields that are set.
    """
    known = pb.Experiment.DESCRIPTOR.fields_by_name
    for path in paths:
        if path not in known or path in READ_ONLY:
            raise InvalidUpdateMask(path)
    named = set(paths) or {field.name for field, _ in message.ListFields() if field.name not in READ_ONLY}
    given = experiment_from_proto(message)
    changes: dict[str, Any] = {
        DOMAIN_NAMES.get(name, name): getattr(given, DOMAIN_NAMES.get(name, name)) for name in named
    }
    return lambda stored: replace(stored, **changes), named <= HARMLESS


def _variant_from_proto(message: pb.ExperimentVariant) -> Variant:
    said = message.parameters
    rankers = {value: key for key, value in RANKERS.items()}
    given = {
        name: getattr(said, name)
        for name in ("diversity", "revenue_weight", "exclude_purchased", "personalized")
        if said.HasField(name)
    }
    parameters = Parameters(release_id=said.release_id or None, ranker=rankers.get(said.ranker), **given)
    return Variant(variant_id=message.variant_id, share=message.share, parameters=parameters)


def _money_from_proto(message: money_pb2.Money) -> Money:
    return Money(message.units + message.nanos / NANOS, message.currency_code)


def experiment_to_proto(experiment: Experiment) -> pb.Experiment:
    """Writes an experiment; its salt stays here."""
    message = pb.Experiment(
        experiment_id=experiment.experiment_id,
        description=experiment.description,
        state=STATES[experiment.state],
        layer=experiment.layer,
        share=experiment.share,
        variants=[
            pb.ExperimentVariant(
                variant_id=one.variant_id, share=one.share, parameters=_parameters_to_proto(one.parameters)
            )
            for one in experiment.variants
        ],
        list_kinds=_kinds(experiment.list_kinds),
        primary_metric=METRICS[experiment.primary_metric],
        guardrails=[METRICS[one] for one in experiment.guardrails],
        alpha=experiment.alpha,
        stop_cause=experiment.stop_cause,
        buckets=[pb.BucketRange(first=one.first, count=one.count) for one in experiment.buckets],
    )
    message.outcome_window.FromNanoseconds(round(experiment.outcome_window_s * NANOS))
    cap = experiment.revenue_cap
    if cap is not None:
        units = int(cap.units)
        money = money_pb2.Money(units=units, nanos=round((cap.units - units) * NANOS), currency_code=cap.currency)
        message.revenue_cap.CopyFrom(money)
    for name in ("create_time", "start_time", "end_time", "stop_time"):
        moment: datetime | None = getattr(experiment, name)
        if moment is not None:
            getattr(message, name).FromDatetime(moment)
    return message


def _kinds(kinds: Iterable[ListKind]) -> list[pb.ListKind.ValueType]:
    return sorted(LIST_KINDS[kind] for kind in kinds)


def _parameters_to_proto(parameters: Parameters) -> pb.ExperimentParameters:
    given = {field.name: getattr(parameters, field.name) for field in fields(Parameters)}
    given["ranker"] = RANKERS[parameters.ranker] if parameters.ranker is not None else None
    return pb.ExperimentParameters(**{name: value for name, value in given.items() if value is not None})


def running_to_proto(running: Iterable[tuple[str, Experiment]]) -> internal_pb.WatchExperimentsResponse:
    """Writes what gateways follow."""
    response = internal_pb.WatchExperimentsResponse()
    for tenant, experiment in running:
        message = experiment_to_proto(experiment)
        message.list_kinds[:] = _kinds(experiment.changing_lists())
        response.experiments.add(tenant=tenant, experiment=message, salt=experiment.salt)
    return response
