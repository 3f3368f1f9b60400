"""Figures of all models as plain data: what `--json` prints and reports are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from services.cli.evaluation.measures import MAIN, Measures
from services.cli.evaluation.protocol import BASELINE, MODES, PROTOCOL, RESAMPLING, SEED
from shared.evaluation.arrays import Doubles
from shared.evaluation.intervals import Interval, bootstrap, compare, holm, paired_difference

Results = Mapping[str, Mapping[str, Measures]]
"""Models' measures by mode."""


def summarise(results: Results, machine: Mapping[str, str]) -> dict[str, Any]:
    """The whole evaluation."""
    modes = {mode: _mode(models, BASELINE[mode]) for mode, models in results.items()}
    return {"protocol": PROTOCOL, "seed": SEED, "machine": dict(machine), "modes": modes}


def _mode(models: Mapping[str, Measures], baseline: str) -> dict[str, Any]:
    theirs = models[baseline]
    others = [name for name in models if name != baseline]
    comparisons = {name: compare(models[name].by_user[MAIN], theirs.by_user[MAIN], RESAMPLING) for name in others}
    corrected = holm([comparisons[name].p_value for name in others])
    against = {
        name: {**_interval(comparisons[name].difference), "p": comparisons[name].p_value, "p_holm": float(p)}
        for name, p in zip(others, corrected, strict=True)
    }
    return {
        "baseline": baseline,
        "households": len(theirs.by_user[MAIN]),
        "models": {name: _model(measures) for name, measures in models.items()},
        "against_baseline": against,
        "slices": {
            name: {
                "households": len(values),
                "models": {model: _slice(measures, theirs, name) for model, measures in models.items()},
            }
            for name, values in theirs.by_slice.items()
        },
    }


def _model(measures: Measures) -> dict[str, Any]:
    row: dict[str, Any] = {name: _interval(_bootstrap(values)) for name, values in measures.by_user.items()}
    return row | {"coverage": measures.coverage, "gini": measures.gini}


def _slice(measures: Measures, theirs: Measures, name: str) -> dict[str, Any]:
    ours = measures.by_slice[name]
    difference = paired_difference(ours, theirs.by_slice[name], RESAMPLING)
    return {**_interval(_bootstrap(ours)), "difference": _interval(difference)}


def _bootstrap(values: Doubles) -> Interval:
    there = values[~np.isnan(values)]
    return bootstrap(there, RESAMPLING) if len(there) else Interval(0.0, 0.0, 0.0)


def _interval(interval: Interval) -> dict[str, float]:
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def titled(mode: str, households: int) -> str:
    """Heading of a mode's tables."""
    return f"{MODES[mode]}; {households:,} households"
