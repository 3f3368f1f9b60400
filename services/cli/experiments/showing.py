"""Experiments and reports for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

from google.protobuf.json_format import MessageToDict
from mercato.gateway.v1 import experiment_pb2 as pb

from services.cli.evaluation.document import Block, Heading, Paragraph, Table
from services.cli.output import name_of

COLUMNS = ("variant", "metric", "value", "difference", "interval", "lift", "interval of the lift", "verdict")
RIGHT = COLUMNS[2:7]
COUNTED = ("variant", "people", "of them complete", "products shown", "clicked", "clicks a shown product", "revenue")


def state_name(experiment: pb.Experiment) -> str:
    """``running``."""
    return name_of(experiment.state, pb.ExperimentState.keys(), "EXPERIMENT_STATE_")


def summary_row(experiment: pb.Experiment) -> tuple[str, ...]:
    """A row of the list."""
    started = experiment.start_time.ToDatetime().strftime("%Y-%m-%d %H:%M") if experiment.HasField("start_time") else ""
    variants = ", ".join(f"{one.variant_id} {one.share:.0%}" for one in experiment.variants)
    name = experiment.experiment_id
    return name, state_name(experiment), experiment.layer, f"{experiment.share:.2%}", variants, started


def lines_of(experiment: pb.Experiment) -> list[str]:
    """What an experiment is."""
    kinds = [name_of(kind, pb.ListKind.keys(), "LIST_KIND_") for kind in experiment.list_kinds]
    metric = metric_name(experiment.primary_metric)
    guardrails = ", ".join(metric_name(one) for one in experiment.guardrails)
    return [
        f"{experiment.experiment_id}: {state_name(experiment)}{_why(experiment)}",
        *([experiment.description] if experiment.description else []),
        f"{experiment.share:.2%} of people, layer {experiment.layer}, {', '.join(kinds) or 'all lists that change'}",
        f"decided by {metric}, outcomes within {_days(experiment.outcome_window.ToTimedelta().total_seconds())}"
        + (f", guardrails {guardrails}" if guardrails else ""),
        *(f"  {one.variant_id} {one.share:.2%}: {_changes(one)}" for one in experiment.variants),
    ]


def metric_name(metric: pb.ExperimentMetric.ValueType) -> str:
    """``click through``."""
    return name_of(metric, pb.ExperimentMetric.keys(), "EXPERIMENT_METRIC_")


def headline(report: pb.ExperimentReport) -> list[str]:
    """What to know first."""
    p = report.sample_ratio.p_value
    ratio = "does not fit the shares" if report.sample_ratio.mismatch else "fits the shares"
    return [
        report.finding,
        *(f"warning: {warning}" for warning in report.warnings),
        f"the split of people {ratio} (p = {p:.2g}); {report.mixed_count} people saw more than one variant",
    ]


def blocks_of(report: pb.ExperimentReport) -> list[Block]:
    """The report as a document."""
    counted = report.report_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
    level = report.variants[-1].metrics[0].confidence if report.variants else 0.0
    return [
        *(Paragraph(line) for line in (*headline(report), *lines_of(report.experiment))),
        Heading("Counted"),
        Paragraph(f"At {counted} UTC. A person is complete when their outcome window is over."),
        Table(COUNTED, counted_rows(report)),
        Heading("Compared with the control"),
        Paragraph(f"By complete person. Intervals of {level:.1%} hold at every look, corrected for the variants."),
        Table(COLUMNS, metric_rows(report)),
    ]


def counted_rows(report: pb.ExperimentReport) -> list[tuple[str, ...]]:
    """What was counted of each variant."""
    return [
        (
            one.variant_id,
            f"{one.person_count:,}",
            f"{one.complete_count:,}",
            f"{one.impression_count:,}",
            f"{one.click_count:,}",
            f"{one.click_count / one.impression_count:.2%}" if one.impression_count else "",
            f"{one.revenue:,.2f} {report.currency}".strip(),
        )
        for one in report.variants
    ]


def metric_rows(report: pb.ExperimentReport) -> list[tuple[str, ...]]:
    """Each variant and metric beside the control."""
    rows = []
    for place, variant in enumerate(report.variants):
        for one in variant.metrics:
            form = _money if one.metric == pb.EXPERIMENT_METRIC_REVENUE else _share
            name = metric_name(one.metric) + (" (guardrail)" if one.guardrail else "")
            head = (variant.variant_id, name, form(one.value))
            rows.append((*head, "", "", "", "", "control") if place == 0 else (*head, *_compared(one)))
    return rows


def _compared(one: pb.MetricReport) -> tuple[str, ...]:
    form = _money if one.metric == pb.EXPERIMENT_METRIC_REVENUE else _share
    return (
        _signed(form(one.difference), one.difference),
        _interval([_signed(form(end), end) for end in (one.difference_low, one.difference_high)]),
        f"{one.lift:+.1%}",
        _interval([f"{end:+.1%}" if math.isfinite(end) else "" for end in (one.lift_low, one.lift_high)]),
        name_of(one.verdict, pb.ExperimentVerdict.keys(), "EXPERIMENT_VERDICT_"),
    )


def _interval(ends: Sequence[str]) -> str:
    return f"{ends[0]} to {ends[1]}" if all(ends) else "too little known"


def _signed(text: str, value: float) -> str:
    return f"+{text}" if text and value >= 0 else text


def _share(value: float) -> str:
    return f"{value:.3%}" if math.isfinite(value) else ""


def _money(value: float) -> str:
    return f"{value:,.3f}" if math.isfinite(value) else ""


def _changes(variant: pb.ExperimentVariant) -> str:
    said = MessageToDict(variant.parameters, preserving_proto_field_name=True)
    names = {"VARIANT_RANKER_BLEND": "blend", "VARIANT_RANKER_LEARNED": "learned"}
    return ", ".join(f"{name} {names.get(str(value), value)}" for name, value in said.items()) or "nothing changes"


def _days(seconds: float) -> str:
    return f"{seconds / 86_400:g} days" if seconds >= 3600 else f"{seconds:g} s"


def _why(experiment: pb.Experiment) -> str:
    return f" ({experiment.stop_cause})" if experiment.stop_cause else ""
