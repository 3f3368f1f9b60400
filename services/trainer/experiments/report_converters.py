"""Reports to the contract."""

from __future__ import annotations

from mercato.gateway.v1 import experiment_pb2 as pb

from services.trainer.experiments.converters import METRICS, experiment_to_proto
from services.trainer.experiments.judge import Judged, Report, VariantResult
from shared.evaluation.sequential import Verdict

VERDICTS = {verdict: pb.ExperimentVerdict.Value(f"EXPERIMENT_VERDICT_{verdict.name}") for verdict in Verdict}


def report_to_proto(report: Report) -> pb.ExperimentReport:
    """Writes a report."""
    message = pb.ExperimentReport(
        experiment=experiment_to_proto(report.experiment),
        variants=[_variant(one) for one in report.variants],
        sample_ratio=pb.SampleRatio(p_value=report.ratio_p, mismatch=report.mismatch),
        mixed_count=report.mixed,
        currency=report.currency,
        unpriced_count=report.unpriced,
        warnings=report.warnings,
        finding=report.finding,
    )
    message.report_time.FromDatetime(report.time)
    return message


def _variant(result: VariantResult) -> pb.VariantReport:
    return pb.VariantReport(
        variant_id=result.variant_id,
        person_count=result.people,
        complete_count=result.complete,
        impression_count=result.impressions,
        click_count=result.clicks,
        revenue=result.revenue,
        metrics=[_metric(one) for one in result.metrics],
    )


def _metric(judged: Judged) -> pb.MetricReport:
    return pb.MetricReport(
        metric=METRICS[judged.metric],
        value=judged.value,
        difference=judged.difference.mean,
        difference_low=judged.difference.low,
        difference_high=judged.difference.high,
        lift=judged.lift.mean,
        lift_low=judged.lift.low,
        lift_high=judged.lift.high,
        verdict=VERDICTS[judged.verdict] if judged.verdict is not None else pb.EXPERIMENT_VERDICT_UNSPECIFIED,
        confidence=judged.confidence,
        guardrail=judged.guardrail,
    )
