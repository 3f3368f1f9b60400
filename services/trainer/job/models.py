"""The learned part of a release: the behaviour model."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from services.trainer.behaviour.artifacts import VOCABULARY
from services.trainer.behaviour.presets import DEMO
from services.trainer.behaviour.recommender import BehaviourRecommender
from services.trainer.datasets.card import DataCard
from services.trainer.datasets.events import Report
from services.trainer.datasets.store import DataSet
from services.trainer.domain import TrainingKind
from services.trainer.job.files import CHECKPOINTS, CURRENT, OUTPUT, Order, Result
from services.trainer.recommenders.errors import InsufficientData

LEAST_SECONDS, SECONDS_A_ROW = 2.0, 1e-4
"""A small shop has little to learn from, and more time does not change that."""
INCREMENTAL_SHARE = 0.25
"""Of the time of a whole training: what goes on from the current release has less to learn."""


def learn_models(folder: Path, order: Order, data: tuple[DataSet, DataCard], result: Result, report: Report) -> Result:
    """Learns and writes the artifacts of models; a shop with too few events gets tables alone, and the gate says so."""
    learn_behaviour(folder, order, data, report)
    return result


def learn_behaviour(folder: Path, order: Order, data: tuple[DataSet, DataCard], report: Report) -> None:
    """Writes the behaviour model unless there is nothing to learn from."""
    rows, card = data
    previous = folder / CURRENT if order.kind is TrainingKind.INCREMENTAL else None
    if previous is not None and not (previous / VOCABULARY).exists():
        previous = None  # the current release has no behaviour model to go on from
    whole = min(order.behaviour_seconds, LEAST_SECONDS + len(rows.interactions) * SECONDS_A_ROW)
    seconds = whole * (1.0 if previous is None else INCREMENTAL_SHARE)
    checkpoints = folder / CHECKPOINTS / hashlib.sha256(f"{card.sha256} {order}".encode()).hexdigest()[:16]
    model = BehaviourRecommender(replace(DEMO, seconds=seconds), folder=checkpoints, previous=previous)
    try:
        model.fit(rows.interactions, rows.content, report)
    except InsufficientData as error:
        report(f"no behaviour model: {error}", 0, 0)
        return
    model.save(folder / OUTPUT)
