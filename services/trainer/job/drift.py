"""Has what the ranker sees moved away from what the current release learnt from?

Every release keeps bins of its features and scores (`drift.json`); the next one compares its own examples with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from services.trainer.domain import DRIFT, Metric
from services.trainer.ranker.fit import Evidence
from shared.evaluation.drift import Level, Reference, Stability, stability_by_feature
from shared.features.columns import Doubles

BINS, SCORE = "drift.json", "score"
MOST_NAMED = 5


def write_bins(folder: Path, evidence: Evidence) -> None:
    """Writes the bins of a release."""
    bins = {name: asdict(Reference.of(values)) for name, values in _columns(evidence).items()}
    (folder / BINS).write_text(json.dumps(bins) + "\n", encoding="utf-8")


def drift_since(current: Path, evidence: Evidence, scores: Doubles) -> tuple[list[Metric], str]:
    """The index of every feature that moved, largest first, and of `scores`, those that the current release gives now.

    Also what they say in words. Nothing where the current release has no bins.
    """
    if not (current / BINS).exists():
        return [], ""
    bins = json.loads((current / BINS).read_text(encoding="utf-8"))
    columns = {**_columns(evidence), SCORE: scores}
    references = {name: Reference(**value) for name, value in bins.items() if name in columns}
    found = stability_by_feature(references, columns)
    told = {name: one for name, one in found.items() if name == SCORE or one.level is not Level.STABLE}
    count = len(evidence.data)
    metrics = [Metric(DRIFT, name, "release", one.index, one.index, one.index, count) for name, one in told.items()]
    return metrics, _words(told)


def _words(told: Mapping[str, Stability]) -> str:
    moved = [f"{name} {one.index:.2f} ({one.level})" for name, one in told.items() if one.level is not Level.STABLE]
    if not moved:
        return "no drift since the current release"
    more = f" and {len(moved) - MOST_NAMED} more" if len(moved) > MOST_NAMED else ""
    return f"drift since the current release: {', '.join(moved[:MOST_NAMED])}{more}"


def _columns(evidence: Evidence) -> dict[str, Doubles]:
    features = evidence.data.features
    columns = {name: features[:, place].astype(np.float64) for place, name in enumerate(evidence.data.names)}
    return {**columns, SCORE: evidence.scores.astype(np.float64)}
