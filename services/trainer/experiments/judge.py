"""What may be said of variants: always-valid intervals, corrected for their number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from services.trainer.experiments.domain import Experiment, Metric
from services.trainer.experiments.outcomes import Doubles, Flags, Outcomes
from shared.evaluation.confidence_sequence import MeanArm, MeanConfig, compare_means, verdict_of
from shared.evaluation.intervals import Interval
from shared.evaluation.sample_ratio import lowest_p
from shared.evaluation.sequential import Arm, SequentialConfig, Verdict, compare_rates, compare_ratio

MISMATCH_P = 1e-3
"""Below this people did not come in the shares that were meant; low, because it throws everything away."""
MANY_MIXED = 0.01
"""Share of people in two variants above which it is said."""
NOTHING = Interval(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One metric of one variant beside the control."""

    metric: Metric
    value: float
    difference: Interval
    lift: Interval
    verdict: Verdict | None
    """None: it is the control."""
    confidence: float
    guardrail: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantResult:
    """What one variant led to."""

    variant_id: str
    people: int
    complete: int
    impressions: int
    clicks: int
    revenue: float
    metrics: tuple[Judged, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an experiment showed so far."""

    experiment: Experiment
    time: datetime
    variants: tuple[VariantResult, ...]
    ratio_p: float
    mixed: int
    currency: str
    unpriced: int
    warnings: tuple[str, ...]
    finding: str

    @property
    def mismatch(self) -> bool:
        """Whether people did not come in the shares that were meant."""
        return self.ratio_p < MISMATCH_P

    def worse(self) -> Iterator[tuple[str, Metric]]:
        """Variants and the guardrails in which they are worse than the control."""
        for variant in self.variants:
            for one in variant.metrics:
                if one.guardrail and one.verdict is Verdict.WORSE:
                    yield variant.variant_id, one.metric


def judge(experiment: Experiment, found: Outcomes, now: datetime) -> Report:
    """Compares every variant with the first."""
    values = _values(experiment, found)
    level = experiment.alpha / (len(experiment.variants) - 1)
    variants = tuple(_variant(experiment, found, values, place, level) for place in range(len(experiment.variants)))
    ratio_p = lowest_p(found.variants, [variant.share for variant in experiment.variants])
    return Report(
        experiment=experiment,
        time=now,
        variants=variants,
        ratio_p=ratio_p,
        mixed=found.mixed,
        currency=found.currency,
        unpriced=found.unpriced,
        warnings=tuple(_warnings(found, ratio_p)),
        finding=_finding(experiment, variants, ratio_p),
    )


def _values(experiment: Experiment, found: Outcomes) -> dict[Metric, Doubles | Flags]:
    cap = experiment.revenue_cap
    spent = np.minimum(found.spent, cap.units) if cap is not None else found.spent
    return {Metric.CLICK_THROUGH: found.clicked, Metric.CONVERSION: found.bought, Metric.REVENUE: spent}


def _variant(
    experiment: Experiment, found: Outcomes, values: dict[Metric, Doubles | Flags], place: int, level: float
) -> VariantResult:
    mine, control = ((found.variants == one) & found.complete for one in (place, 0))
    metrics = []
    for metric, column in values.items():
        difference, lift = _compared(column[mine], column[control], level) if place else (NOTHING, NOTHING)
        metrics.append(
            Judged(
                metric=metric,
                value=float(column[mine].mean()) if mine.any() else 0.0,
                difference=difference,
                lift=lift,
                verdict=verdict_of(difference) if place else None,
                confidence=1.0 - level,
                guardrail=metric in experiment.guardrails,
            )
        )
    return VariantResult(
        variant_id=experiment.variants[place].variant_id,
        people=int((found.variants == place).sum()),
        complete=int(mine.sum()),
        impressions=found.impressions[place],
        clicks=found.clicks[place],
        revenue=float(found.spent[mine].sum()),
        metrics=tuple(metrics),
    )


def _compared(mine: Doubles | Flags, control: Doubles | Flags, level: float) -> tuple[Interval, Interval]:
    """Difference and lift.

    A rate has two intervals at half the level each, of which both hold: an exact one that speaks from the first person
    on, and an asymptotic one that is much tighter once there are enough.
    """
    yes_or_no = mine.dtype == np.bool_
    config = MeanConfig(alpha=level / 2 if yes_or_no else level)
    means = compare_means(MeanArm.of(mine.astype(np.float64)), MeanArm.of(control.astype(np.float64)), config)
    if not yes_or_no:
        return means.difference, means.lift
    one, other = (Arm(successes=int(part.sum()), trials=len(part)) for part in (mine, control))
    exact = SequentialConfig(alpha=level / 2)
    rates = compare_rates(one, other, exact).difference
    return _both(means.difference, rates), _both(means.lift, compare_ratio(one, other, exact))


def _both(tight: Interval, sure: Interval) -> Interval:
    """Where two intervals overlap; the first where they do not."""
    low, high = max(tight.low, sure.low), min(tight.high, sure.high)
    return Interval(sure.mean, low, high) if low <= high else tight


def _warnings(found: Outcomes, ratio_p: float) -> Iterator[str]:
    people = len(found.variants) + found.mixed
    if ratio_p < MISMATCH_P:
        yield (
            f"people did not come to the variants in their shares (p = {ratio_p:.1e}): something loses people of a "
            "variant; do not believe the figures before it is found"
        )
    if people and found.mixed / people > MANY_MIXED:
        yield f"{found.mixed} of {people} people saw more than one variant and are left out"
    if found.unpriced:
        yield f"{found.unpriced} purchased products have no known price in the currency and count as 0"
    if people and not found.complete.any():
        yield "nobody's outcome window is over yet"


def _finding(experiment: Experiment, variants: tuple[VariantResult, ...], ratio_p: float) -> str:
    if ratio_p < MISMATCH_P:
        return "cannot be judged: people did not come to the variants in their shares"
    said = []
    for variant in variants[1:]:
        one = next(metric for metric in variant.metrics if metric.metric is experiment.primary_metric)
        text = f"{variant.variant_id} is {one.verdict} in {one.metric.replace('_', '-')}"
        if one.verdict is not Verdict.UNDECIDED and math.isfinite(one.lift.low):
            text += f" by {one.lift.mean:+.1%} [{one.lift.low:+.1%}, {one.lift.high:+.1%}]"
        said.append(text)
    return "; ".join(said)
