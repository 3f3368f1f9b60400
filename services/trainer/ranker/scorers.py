"""Fitted models as scorers: each makes a calibrated graph of itself.

Legend: N examples, K tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from services.trainer.ranker.calibrate import Numbers, Platt
from services.trainer.ranker.data_set import Labels, RankerData, Task
from services.trainer.ranker.export import CalibratedTrees, multitask_graph, trees_graph
from services.trainer.ranker.multitask import MultiTask
from services.trainer.ranker.trees import Trees


class Scorer(Protocol):
    """A fitted model."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """By column of the graph's scores."""
        ...

    def graph(self, held: RankerData) -> bytes:
        """An ONNX graph from features to probabilities `[N, K]`, calibrated on persons that the model did not see."""
        ...


@dataclass(frozen=True)
class TreesScorer:
    """LightGBM; products bought before and new ones are calibrated apart."""

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
class MultiTaskScorer:
    """Mixture of experts with a head for each task."""

    model: MultiTask

    @property
    def tasks(self) -> tuple[Task, ...]:
        return self.model.tasks

    def graph(self, held: RankerData) -> bytes:
        logits = self.model.logits(held.features)
        columns = [(logits[:, place], held.labels[:, task]) for place, task in enumerate(self.tasks)]
        return multitask_graph(self.model, [_platt(odds, labels) for odds, labels in columns])


def _platt(logits: Numbers, labels: Labels) -> Platt:
    """Scaled where both outcomes are among those known; else left as it is."""
    told = labels >= 0
    return Platt.fitted(logits[told], labels[told]) if len(np.unique(labels[told])) > 1 else Platt()
