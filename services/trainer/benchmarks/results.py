"""Figures of all models on one task: means, intervals over users, differences to a baseline, spread over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.trainer.benchmarks.measuring import DEPTH, HEAD, MEASURES, Run
from services.trainer.benchmarks.task import Task
from shared.evaluation.arrays import Doubles
from shared.evaluation.intervals import Comparison, Interval, bootstrap, compare

MAIN = "ndcg@10"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One model on one task."""

    model: str
    seeds: tuple[int, ...]
    measures: Mapping[str, Interval]
    """Mean over seeds, and its interval over users."""
    spreads: Mapping[str, float]
    """Standard deviation over seeds of the mean over users; 0 for one seed."""
    coverage: float
    fit_seconds: float
    rank_seconds: float
    peak_mib: float
    against: Comparison | None
    """nDCG@10 less the baseline's on the same users; None for the baseline."""


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """All models on one task."""

    task: str
    users: int
    statements: Mapping[str, str]
    baseline: str
    models: tuple[Measured, ...]


def conclude(task: Task, runs: Mapping[str, Mapping[int, Run]], baseline: str) -> TaskResult:
    """Figures from runs by model and seed."""
    theirs = _by_user(runs[baseline].values())[MAIN]
    return TaskResult(
        task=task.name,
        users=len(task.users),
        statements={**task.statements, **choices(task)},
        baseline=baseline,
        models=tuple(_measured(name, by_seed, theirs if name != baseline else None) for name, by_seed in runs.items()),
    )


def choices(task: Task) -> dict[str, str]:
    """What must be known to compare figures, in words."""
    ranked = "all" if task.candidates is None else "the cold ones alone"
    return {
        "ranking": f"full, no sampled negatives; {ranked} of {len(task.rows.product_ids)} products compete",
        "ties": "the smaller product number first",
        "seen products": "taken out of the ranking" if task.hide_seen else "stay in the ranking",
        "intervals": "95 % bootstrap over users, 2,000 draws; differences paired by user",
    }


def as_json(result: TaskResult) -> dict[str, Any]:
    """Plain values."""
    return {
        "task": result.task,
        "users": result.users,
        "statements": dict(result.statements),
        "baseline": result.baseline,
        "models": [_model_json(model) for model in result.models],
    }


def as_markdown(result: TaskResult) -> str:
    """A table and what must be known to read it."""
    heads = ("model", *MEASURES, f"coverage@{HEAD}", f"Δ {MAIN} to {result.baseline}", "fit s", "rank s", "peak MiB")
    lines = [f"## {result.task}", "", f"- users: {result.users}"]
    lines += [f"- {name}: {text}" for name, text in result.statements.items()]
    lines += ["", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(_cells(model))} |" for model in result.models]
    return "\n".join([*lines, ""])


def _cells(model: Measured) -> Iterable[str]:
    yield model.model
    for name in MEASURES:
        value = model.measures[name]
        spread = f"; seeds ± {model.spreads[name]:.4f}" if len(model.seeds) > 1 else ""
        yield f"{value.mean:.4f} ({value.low:.4f} to {value.high:.4f}{spread})"
    yield f"{model.coverage:.3f}"
    if model.against is None:
        yield "baseline"
    else:
        gain = model.against.difference
        yield f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}), p {model.against.p_value:.4f}"
    yield from (f"{model.fit_seconds:.1f}", f"{model.rank_seconds:.1f}", f"{model.peak_mib:.0f}")


def _measured(name: str, by_seed: Mapping[int, Run], theirs: Doubles | None) -> Measured:
    runs = list(by_seed.values())
    values = _by_user(runs)
    return Measured(
        model=name,
        seeds=tuple(by_seed),
        measures={measure: bootstrap(values[measure]) for measure in MEASURES},
        spreads={measure: float(np.std([run.values[measure].mean() for run in runs])) for measure in MEASURES},
        coverage=_mean([run.coverage for run in runs]),
        fit_seconds=_mean([run.fit_seconds for run in runs]),
        rank_seconds=_mean([run.rank_seconds for run in runs]),
        peak_mib=max(run.peak_mib for run in runs),
        against=None if theirs is None else compare(values[MAIN], theirs),
    )


def _by_user(runs: Iterable[Run]) -> dict[str, Doubles]:
    """Mean over seeds, by measure `[U]`."""
    every = list(runs)
    return {measure: np.mean([run.values[measure] for run in every], axis=0) for measure in MEASURES}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _model_json(model: Measured) -> dict[str, Any]:
    measures = {
        name: {"mean": value.mean, "low": value.low, "high": value.high, "seed_spread": model.spreads[name]}
        for name, value in model.measures.items()
    }
    against = model.against and {
        "mean": model.against.difference.mean,
        "low": model.against.difference.low,
        "high": model.against.difference.high,
        "p_value": model.against.p_value,
    }
    return {
        "model": model.model,
        "seeds": list(model.seeds),
        "measures": measures,
        f"coverage@{HEAD}": model.coverage,
        f"{MAIN}_difference": against,
        "fit_seconds": model.fit_seconds,
        "rank_seconds": model.rank_seconds,
        "peak_mib": model.peak_mib,
        "list_depth": DEPTH,
    }
