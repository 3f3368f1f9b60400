"""Learns the ranker of a release: examples at several past moments, contenders, choice, calibration, files.

The last window is for choosing. The winner then learns again with it, except for some persons by whom it is calibrated
and whose figures are reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from services.trainer.datasets.impressions import Impressions
from services.trainer.datasets.leaks import LeakConfig
from services.trainer.datasets.splits import sample_users
from services.trainer.domain import Floats
from services.trainer.learning.interactions import EventKind, Interactions, ItemContent
from services.trainer.learning.pairs import DAY_S
from services.trainer.ranker.amounts import level_of, revenue_calibration
from services.trainer.ranker.calibrate import hold_out_persons
from services.trainer.ranker.data_set import (
    UNKNOWN,
    Behaviour,
    DataConfig,
    RankerData,
    Task,
    check_no_leak,
    joined,
    ranker_data,
)
from services.trainer.ranker.ensemble import BlendScorer, MeanScorer
from services.trainer.ranker.errors import NothingToRank
from services.trainer.ranker.export import (
    Description,
    baselines,
    grouped,
    run_amounts,
    run_graph,
    with_amounts,
    write_ranker,
)
from services.trainer.ranker.multitask import MultiTask, MultiTaskConfig, fit_multitask
from services.trainer.ranker.scorers import MultiTaskScorer, Scorer, TreesScorer
from services.trainer.ranker.trees import TreesConfig, fit_trees
from services.trainer.ranker.validate import area_under_curve, blend_scores, person_ndcg
from services.trainer.recommenders.interface import Report
from shared.evaluation.calibration_error import expected_calibration_error
from shared.features.columns import Doubles
from shared.features.registry import GROUPS

TASK_WEIGHTS = {Task.PURCHASE: 1.0, Task.CART: 0.1, Task.CLICK: 0.02}
"""What an outcome is worth in the final score, in purchases."""


@dataclass(frozen=True, kw_only=True)
class RankerConfig:
    """What is learnt from and how."""

    data: DataConfig = field(default_factory=DataConfig)
    moments: int = 3
    """Windows to learn from, before the one to choose by; fewer where the rows do not reach back so far."""
    trees: TreesConfig = field(default_factory=TreesConfig)
    multitask: MultiTaskConfig = field(default_factory=MultiTaskConfig)
    kept: float = 0.3
    """Share of the examples without any outcome that is learnt from: the others say little more, and fill memory."""
    held_out: float = 0.3
    """Share of the persons of the last window by whom the winner is calibrated and measured, half of them each."""
    leaks: LeakConfig = field(default_factory=LeakConfig)
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """How good the winner is on the latest window, which it had not seen: for comparison with what serves."""

    moment_s: int
    """The window's beginning."""
    data: RankerData
    """All features of its examples."""
    scores: Doubles
    """Of the winner before it learnt from the window too `[N]`."""
    amounts: Doubles | None = None
    """What is spent on a purchase, as foretold before the window too `[N]`; None: nothing was learnt of it."""


@dataclass(frozen=True, slots=True)
class RankerResult:
    """A ranker as it will be served."""

    graph: bytes
    """ONNX."""
    description: Description
    evidence: Evidence

    def write(self, folder: Path) -> None:
        """Writes `ranker.onnx` and `ranker.json`."""
        write_ranker(folder, self.graph, self.description)


def fit_ranker(
    rows: Interactions,
    content: ItemContent,
    config: RankerConfig,
    report: Report,
    impressions: Impressions | None = None,
    behaviour: Behaviour | None = None,
) -> RankerResult:
    """Learns from all rows; the same input gives the same ranker.

    Raises NothingToRank when the rows are too short or too few, DataLeak when what comes after a moment could be seen.
    """
    moments = moments_of(rows, config)
    _check_leaks(rows, content, moments[0], config)
    parts = []
    for place, moment in enumerate(moments):
        report("compute the ranker's features", place, len(moments))
        part = ranker_data(rows, content, moment, config.data, impressions, behaviour)
        parts.append(thinned(part, config.kept, config.seed + place) if place else part)
    varied = _varied(parts)
    validation, *earlier = (part.with_features(varied) for part in parts)
    held = hold_out_persons(len(validation.users), config.held_out, config.seed)
    judges, others = validation.of_persons(held), validation.of_persons(~held)
    calibrators, measured = _halves(judges, config.seed)
    training = joined(earlier)
    metrics = _measures("blend", validation, blend_scores(parts[0]))
    found: dict[str, Evidence] = {}
    contenders = _fitted(training, config, report)
    amounts = contenders.amounts(calibrators, validation)
    for name, scorer in contenders.scorers.items():
        scores = run_graph(scorer.graph(calibrators), validation.features) @ weights_of(scorer.tasks)
        metrics |= _measures(name, validation, scores)
        found[name] = Evidence(moment_s=moments[0], data=parts[0], scores=scores, amounts=amounts)
    best = max(found, key=lambda name: metrics[f"{name}_ndcg_all"] + metrics[f"{name}_ndcg_new"])
    contenders = _fitted(joined([training, thinned(others, config.kept, config.seed)]), config, report)
    graph, tasks = contenders.graph(best, calibrators), contenders.scorers[best].tasks
    chances, foretells = run_graph(graph, measured.features), contenders.foretells
    metrics |= _calibration(measured, chances, tasks)
    if foretells:
        metrics |= revenue_calibration(measured, chances, run_amounts(graph, measured.features))
    return RankerResult(graph, _description(validation, (tasks, foretells), best, metrics), found[best])


@dataclass(frozen=True, slots=True)
class _Contenders:
    """Rankers by name, as in `ranker.json`, and the network among them, which alone foretells amounts."""

    scorers: dict[str, Scorer]
    network: MultiTask

    @property
    def foretells(self) -> bool:
        """Whether amounts were learnt."""
        return self.network.net.amount is not None

    def graph(self, name: str, held: RankerData) -> bytes:
        """One ranker with the amounts, calibrated."""
        graph = self.scorers[name].graph(held)
        return with_amounts(graph, self.network, self._level(held)) if self.foretells else graph

    def amounts(self, held: RankerData, data: RankerData) -> Doubles | None:
        """Amounts of examples, their level calibrated on persons held out."""
        foretold = self.network.amounts(data.features)
        return None if foretold is None else foretold.astype(np.float64) * self._level(held)

    def _level(self, held: RankerData) -> float:
        foretold = self.network.amounts(held.features)
        return 1.0 if foretold is None else level_of(foretold, held.amounts)


def _fitted(data: RankerData, config: RankerConfig, report: Report) -> _Contenders:
    """Trees, network, and the mean of both and the blend."""
    trees = TreesScorer(fit_trees(data, config.trees, report))
    network = fit_multitask(data, config.multitask, report)
    last = MultiTaskScorer(network)
    return _Contenders({"lightgbm": trees, "mmoe": last, "ensemble": MeanScorer((trees, BlendScorer(), last))}, network)


def moments_of(rows: Interactions, config: RankerConfig) -> list[int]:
    """Starts of the label windows, latest first, seconds since 1970; each has a window's length of purchases before it.

    Raises NothingToRank when there are not two.
    """
    length_s = round(config.data.horizon_days * DAY_S)
    bought = rows.of_kind(EventKind.PURCHASE)
    if not len(bought):
        raise NothingToRank("nothing was bought")
    first_s = int(bought.times_s.min())
    moments = [rows.end_time_s + 1 - length_s * (place + 1) for place in range(config.moments + 1)]
    reached = [moment for moment in moments if moment - length_s >= first_s]
    if len(reached) < 2:
        days = 3 * config.data.horizon_days
        raise NothingToRank(
            f"purchases must reach back {days:g} days, and reach back {(rows.end_time_s - first_s) // DAY_S}"
        )
    return reached


def thinned(data: RankerData, share: float, seed: int) -> RankerData:
    """All examples that were bought or shown, and a share of the others: calibration restores the level."""
    told = (data.labels[:, Task.PURCHASE] > 0) | (data.labels[:, Task.CLICK] != UNKNOWN)
    return data.where(told | (np.random.default_rng(seed).random(len(data)) < share))


def weights_of(tasks: tuple[Task, ...]) -> Doubles:
    """Of each task in the final score `[K]`."""
    return np.array([TASK_WEIGHTS[task] for task in tasks])


def _check_leaks(rows: Interactions, content: ItemContent, moment: int, config: RankerConfig) -> None:
    """On all rows of some users: a shop of its own, small enough to be looked at three times."""
    users = sample_users(rows.before(moment).of_kind(EventKind.PURCHASE), config.leaks.users, config.leaks.seed)
    check_no_leak(rows.where(np.isin(rows.users, users)), content, moment, config.data, config.leaks)


def _varied(parts: list[RankerData]) -> list[int]:
    """Columns that differ between examples; serving adds fixed terms for what no log has taught."""
    low = np.min([part.features.min(axis=0) for part in parts if len(part)], axis=0)
    high = np.max([part.features.max(axis=0) for part in parts if len(part)], axis=0)
    varied: list[int] = np.flatnonzero(high > low).tolist()
    return varied


def _halves(judges: RankerData, seed: int) -> tuple[RankerData, RankerData]:
    half = hold_out_persons(len(judges.users), 0.5, seed + 1)
    return judges.of_persons(half), judges.of_persons(~half)


def _measures(name: str, data: RankerData, scores: Doubles) -> dict[str, float]:
    """nDCG@10 over everything and over what is new, and the area under the curve of purchases."""
    return {
        f"{name}_ndcg_all": _mean(person_ndcg(data, scores, only_new=False)[1]),
        f"{name}_ndcg_new": _mean(person_ndcg(data, scores, only_new=True)[1]),
        f"{name}_auc": area_under_curve(scores, data.labels[:, Task.PURCHASE]),
    }


def _mean(values: Doubles) -> float:
    """0 where nobody bought anything."""
    return float(values.mean()) if len(values) else 0.0


def _calibration(data: RankerData, scores: Floats, tasks: tuple[Task, ...]) -> dict[str, float]:
    """Of what is served, on persons that neither model nor calibration saw."""
    found = {}
    for place, task in enumerate(tasks):
        told = data.labels[:, task] >= 0
        if told.any():
            chances = np.clip(scores[told, place].astype(np.float64), 0.0, 1.0)
            found[f"ece_{task.name.lower()}"] = expected_calibration_error(chances, data.labels[told, task])
    return found


def _description(
    data: RankerData, outputs: tuple[tuple[Task, ...], bool], model: str, metrics: dict[str, float]
) -> Description:
    """`outputs`: tasks, and whether there are amounts."""
    tasks, amounts = outputs
    return Description(
        features=data.names,
        baseline=baselines(data.features),
        groups=grouped(data.names, GROUPS),
        tasks=tuple(task.name.lower() for task in tasks),
        weights=tuple(weights_of(tasks).tolist()),
        model=model,
        metrics=metrics,
        amounts=amounts,
    )
