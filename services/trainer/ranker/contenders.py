"""Models that may become the ranker, each from examples to a calibrated graph.

Legend: N examples, F features, K tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from services.trainer.ranker.calibrate import Numbers, Platt
from services.trainer.ranker.data_set import Labels, RankerData, Task
from services.trainer.ranker.export import CalibratedTrees, multitask_graph, trees_graph
from services.trainer.ranker.multitask import MultiTask, MultiTaskConfig, fit_multitask
from services.trainer.ranker.trees import Trees, TreesConfig, fit_trees
from services.trainer.recommenders.interface import Report
from shared.features.columns import Mask


class Scorer(Protocol):
    """A fitted model."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """By column of the graph's scores."""
        ...

    def graph(self, held: RankerData) -> bytes:
        """An ONNX graph from features to probabilities `[N, K]`, calibrated on persons that the model did not see."""
        ...


class Contender(Protocol):
    """A way to learn."""

    @property
    def name(self) -> str:
        """Stands in `ranker.json`."""
        ...

    def fit(self, data: RankerData, report: Report) -> Scorer:
        """Raises NothingToRank."""
        ...


@dataclass(frozen=True)
class TreesContender:
    """LightGBM."""

    config: TreesConfig
    name: str = "lightgbm"

    def fit(self, data: RankerData, report: Report) -> Scorer:
        return _TreesScorer(fit_trees(data, self.config, report))


@dataclass(frozen=True)
class MultiTaskContender:
    """Mixture of experts with a head for each task."""

    config: MultiTaskConfig
    name: str = "mmoe"

    def fit(self, data: RankerData, report: Report) -> Scorer:
        model = fit_multitask(data, self.config, report)
        return _MultiTaskScorer(model, model.tasks)


@dataclass(frozen=True)
class _TreesScorer:
    trees: Trees
    tasks: tuple[Task, ...] = (Task.PURCHASE,)

    def graph(self, held: RankerData) -> bytes:
        logits, labels = self.trees.logits(held.features), held.labels[:, Task.PURCHASE]
        if self.trees.new is None:
            return trees_graph(CalibratedTrees(self.trees.known, _platt(logits, labels)), None, held.names)
        parts = [
            CalibratedTrees(booster, _platt(logits[segment], labels[segment]))
            for booster, segment in ((self.trees.known, held.known), (self.trees.new, ~held.known))
        ]
        return trees_graph(parts[0], parts[1], held.names)


@dataclass(frozen=True)
class _MultiTaskScorer:
    model: MultiTask
    tasks: tuple[Task, ...]

    def graph(self, held: RankerData) -> bytes:
        logits = self.model.logits(held.features)
        columns = [(logits[:, place], held.labels[:, task]) for place, task in enumerate(self.tasks)]
        return multitask_graph(self.model, [_platt(odds, labels) for odds, labels in columns])


def _platt(logits: Numbers, labels: Labels) -> Platt:
    """Scaled where both outcomes are among those known; else left as it is."""
    told: Mask = labels >= 0
    return Platt.fitted(logits[told], labels[told]) if len(np.unique(labels[told])) > 1 else Platt()
