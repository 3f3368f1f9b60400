"""The learned part of a release: behaviour model and ranker, and whether they may replace what serves.

The ranker learns from the behaviour model's scores, so at every past moment it must be given scores of a model that had
not seen what came after. One *early* model, learnt from rows before the first of those moments, gives them; the model
that is released goes on from it with all rows or, in an incremental job, from the current release's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from services.trainer.behaviour.artifacts import VOCABULARY
from services.trainer.behaviour.errors import BrokenModel
from services.trainer.behaviour.presets import DEMO
from services.trainer.behaviour.recommender import BehaviourRecommender
from services.trainer.datasets.card import DataCard
from services.trainer.datasets.events import Report
from services.trainer.datasets.store import DataSet
from services.trainer.domain import Gate, TrainingKind
from services.trainer.job.drift import drift_since, write_bins
from services.trainer.job.encoded import EncodedBehaviour
from services.trainer.job.files import CHECKPOINTS, CURRENT, OUTPUT, Order, Result
from services.trainer.job.gate import GateConfig, judge, serving
from services.trainer.learning.interactions import Interactions
from services.trainer.ranker.errors import NothingToRank
from services.trainer.ranker.export import GRAPH
from services.trainer.ranker.fit import RankerConfig, fit_ranker, moments_of
from services.trainer.ranker.revenue import earned
from services.trainer.recommenders.errors import InsufficientData

LEAST_SECONDS, SECONDS_A_ROW = 2.0, 1e-4
"""A small shop has little to learn from, and more time does not change that."""
INCREMENTAL_SHARE = 0.5
"""Of the time of a whole training: what goes on from the current release has less to learn."""
EARLY = "early"


@dataclass(frozen=True, slots=True)
class Job:
    """What all steps need."""

    folder: Path
    order: Order
    data: DataSet
    card: DataCard
    report: Report

    @property
    def previous(self) -> Path | None:
        """The current release's behaviour model, where the job goes on from it."""
        current = self.folder / CURRENT
        goes_on = self.order.kind is TrainingKind.INCREMENTAL and (current / VOCABULARY).exists()
        return current if goes_on else None

    @property
    def seconds(self) -> float:
        """Time for the behaviour model."""
        whole = min(self.order.behaviour_seconds, LEAST_SECONDS + len(self.data.interactions) * SECONDS_A_ROW)
        return whole * (INCREMENTAL_SHARE if self.previous else 1.0)

    @property
    def checkpoints(self) -> Path:
        """Where a job that was killed goes on: the same data and order find it again."""
        name = hashlib.sha256(f"{self.card.sha256} {self.order}".encode()).hexdigest()[:16]
        return self.folder / CHECKPOINTS / name


def learn_models(job: Job, result: Result) -> Result:
    """Writes the artifacts of models and returns the result with metrics and gate.

    A shop with too few events gets a release without ranker, or with tables alone; without ranker there is no gate,
    unless the current release has one.
    """
    assert job.data.content is not None
    early = _early_behaviour(job)
    try:
        ranker = fit_ranker(
            job.data.interactions,
            job.data.content,
            RankerConfig(),
            job.report,
            impressions=job.data.impressions,
            behaviour=early.at if early is not None else None,
        )
    except NothingToRank as error:
        job.report(f"no ranker: {error}", 0, 0)
        _final_behaviour(job, early is not None)
        if not (job.folder / CURRENT / GRAPH).exists():
            return result
        return replace(result, gate=Gate(False, (f"no ranker, and the current release has one: {error}",)))
    ranker.write(job.folder / OUTPUT)
    _final_behaviour(job, early is not None)
    job.report("measuring beside the current release", 0, 0)
    current = serving(job.folder / CURRENT, ranker.evidence, job.data, job.order.threads)
    gate, measures = judge(ranker, current, GateConfig())
    moved, words = drift_since(job.folder / CURRENT, ranker.evidence, current.scores)
    write_bins(job.folder / OUTPUT, ranker.evidence)
    checks = (*gate.checks, words) if words else gate.checks
    metrics = (*measures, *earned(ranker.evidence), *moved)
    return replace(result, gate=replace(gate, checks=checks), metrics=metrics)


def _early_behaviour(job: Job) -> EncodedBehaviour | None:
    """The model for the ranker's examples; None where the rows before the first moment do not suffice."""
    rows, content = job.data.interactions, job.data.content
    assert content is not None
    try:
        first = moments_of(rows, RankerConfig())[-1]
        # Never from the current release: it has seen what comes after the moments.
        _fit(job, rows.before(first), None, job.seconds / 2, EARLY).save(job.folder / EARLY)
    except (InsufficientData, NothingToRank) as error:
        job.report(f"the ranker learns without behaviour scores: {error}", 0, 0)
        return None
    return EncodedBehaviour(job.folder / EARLY, rows, content, job.order.threads)


def _final_behaviour(job: Job, has_early: bool) -> None:
    """The model that is released: goes on from the current release's where asked to, else from the early one."""
    previous = job.previous or (job.folder / EARLY if has_early else None)
    seconds = job.seconds / 2 if has_early else job.seconds
    try:
        _fit(job, job.data.interactions, previous, seconds, "final").save(job.folder / OUTPUT)
    except InsufficientData as error:
        job.report(f"no behaviour model: {error}", 0, 0)


def _fit(job: Job, rows: Interactions, previous: Path | None, seconds: float, name: str) -> BehaviourRecommender:
    """Goes on from `previous`; begins anew where that does not fit what products are known by now."""
    config = replace(DEMO, seconds=seconds)
    if previous is not None and previous == job.previous:
        # What the current release knew is replayed in part, so that it is not forgotten.
        config = replace(config, windows=replace(config.windows, replay_before_s=job.order.learnt_until_s))
    model = BehaviourRecommender(config, folder=job.checkpoints / name, previous=previous)
    try:
        model.fit(rows, job.data.content, job.report)
    except BrokenModel as error:
        job.report(f"the behaviour model begins anew: {error}", 0, 0)
        model = BehaviourRecommender(replace(DEMO, seconds=seconds), folder=job.checkpoints / f"{name}-anew")
        model.fit(rows, job.data.content, job.report)
    return model
