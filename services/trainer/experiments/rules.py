"""What an experiment must be like beyond its contract; defaults are filled in here."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from services.trainer.experiments.domain import BUCKETS, CHANGES, Experiment
from shared.errors.base import InvalidArgument, Violation

TOLERANCE = 1e-6
FEWEST_VARIANTS = 2


def completed(experiment: Experiment) -> Experiment:
    """With its defaults. Raises InvalidArgument with all violations."""
    variants = experiment.variants
    if len(variants) < FEWEST_VARIANTS:
        description = f"must hold at least {FEWEST_VARIANTS} variants, the control first"
        raise InvalidArgument([Violation("experiment.variants", description, "variants.fewest")])
    if not any(variant.share for variant in variants):
        share = 1.0 / len(variants)
        variants = tuple(replace(variant, share=share) for variant in variants)
    made = replace(
        experiment,
        layer=experiment.layer or experiment.experiment_id,
        share=experiment.share or 1.0,
        variants=variants,
    )
    violations = [*_variants(made), *_parameters(made), *_cap(made)]
    if violations:
        raise InvalidArgument(violations)
    return made


def _variants(experiment: Experiment) -> list[Violation]:
    found = []
    counts = Counter(variant.variant_id for variant in experiment.variants)
    for place, variant in enumerate(experiment.variants):
        path = f"experiment.variants[{place}]"
        if counts[variant.variant_id] > 1:
            found.append(Violation(f"{path}.variant_id", f"{variant.variant_id!r} stands more than once", "unique"))
        if variant.share * BUCKETS < 1 - TOLERANCE:
            found.append(
                Violation(f"{path}.share", f"is {variant.share}: must be at least .0001, or none given", "share.least")
            )
    total = sum(variant.share for variant in experiment.variants)
    if abs(total - 1.0) > TOLERANCE:
        found.append(Violation("experiment.variants", f"the shares add up to {total:.6g}, not to 1", "share.sum"))
    return found


def _parameters(experiment: Experiment) -> list[Violation]:
    if not experiment.parameter_names():
        return [] if experiment.description else [_needs_purpose()]
    found = []
    for place, variant in enumerate(experiment.variants):
        for name in sorted(variant.parameters.names()):
            if experiment.list_kinds and not CHANGES[name] & set(experiment.list_kinds):
                kinds = ", ".join(experiment.list_kinds)
                path = f"experiment.variants[{place}].parameters.{name}"
                found.append(Violation(path, f"changes none of the experiment's lists ({kinds})", "parameter.list"))
    return found


def _needs_purpose() -> Violation:
    """An experiment that changes nothing compares equals, on purpose or by mistake."""
    description = "must say why no variant changes anything (an A/A test), or a variant must have parameters"
    return Violation("experiment.description", description, "description.needed")


def _cap(experiment: Experiment) -> list[Violation]:
    cap = experiment.revenue_cap
    if cap is None or (cap.units > 0 and len(cap.currency) == 3 and cap.currency.isalpha() and cap.currency.isupper()):
        return []
    return [Violation("experiment.revenue_cap", "must be above 0, in a currency of ISO 4217", "revenue_cap.value")]
