"""Gradient-boosted trees (LightGBM, Ke et al. 2017): one model for products bought before, one for new ones.

What decides a repeat purchase and what decides a first one share little, and first ones are few: learnt together, they
are what the trees learn last.

Legend: N examples, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np

from services.trainer.domain import Floats
from services.trainer.ranker.data_set import RankerData, Task
from services.trainer.ranker.errors import NothingToRank
from services.trainer.recommenders.interface import Report
from shared.features.columns import Doubles, Mask


@dataclass(frozen=True, kw_only=True)
class TreesConfig:
    """Of each of the two models."""

    objective: str = "binary"
    """Or `lambdarank`: LambdaMART (Burges 2010)."""
    rounds: int = 120
    leaves: int = 31
    rate: float = 0.06
    least_examples: int = 200
    """In a leaf, counted by weight where it has one."""
    feature_share: float = 0.5
    example_share: float = 0.8
    bins: int = 127
    l2: float = 5.0
    truncation: int = 20
    """Places from the top of the list that LambdaMART cares for."""
    negatives: float = 0.7
    """Share of the examples without a purchase that is drawn; the binary objective weighs them up again."""
    threads: int = 1
    """More threads than idle cores cost a hundred times what they gain."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Trees:
    """Fitted models; without any first purchase to learn from, `known` scores everything."""

    known: lightgbm.Booster
    new: lightgbm.Booster | None
    place: int
    """Column of the feature `known`."""

    def logits(self, features: Floats) -> Doubles:
        """Raw scores `[N]`; of the binary objective, log-odds."""
        scores = np.asarray(self.known.predict(features, raw_score=True, num_threads=1), np.float64)
        if self.new is not None:
            new = features[:, self.place] < 0.5
            if new.any():
                scores[new] = self.new.predict(features[new], raw_score=True, num_threads=1)
        return scores


def fit_trees(data: RankerData, config: TreesConfig, report: Report) -> Trees:
    """Learns purchases. Raises NothingToRank when nobody bought again what they had bought before."""
    step = f"fit trees ({config.objective})"
    known = _fit(data, data.known, config, lambda done: report(step, done, 2 * config.rounds))
    if known is None:
        raise NothingToRank("nobody bought anything again after a cut")
    new = _fit(data, ~data.known, config, lambda done: report(step, config.rounds + done, 2 * config.rounds))
    report(step, 2 * config.rounds, 2 * config.rounds)
    return Trees(known, new, data.names.index("known"))


def _fit(data: RankerData, segment: Mask, config: TreesConfig, done: Any) -> lightgbm.Booster | None:
    rows, weights = drawn(data, segment, config)
    labels = data.labels[rows, Task.PURCHASE]
    if not labels.any() or labels.all():
        return None
    grouped = config.objective == "lambdarank"
    sizes = np.bincount(data.persons[rows])
    train = lightgbm.Dataset(
        data.features[rows],
        labels,
        weight=None if grouped else weights,
        group=sizes[sizes > 0] if grouped else None,
        feature_name=list(data.names),
        params={"max_bin": config.bins, "num_threads": config.threads, "verbose": -1},
    )

    def tell(state: Any) -> None:
        if (state.iteration + 1) % 20 == 0:
            done(state.iteration + 1)

    return lightgbm.train(_parameters(config), train, config.rounds, callbacks=[tell])


def drawn(data: RankerData, segment: Mask, config: TreesConfig) -> tuple[Any, Doubles]:
    """Examples of a segment in their order: all purchases and a share of the others; weights make up for the rest."""
    bought = data.labels[:, Task.PURCHASE] > 0
    lucky = np.random.default_rng(config.seed).random(len(data)) < config.negatives
    rows = np.flatnonzero(segment & (bought | lucky))
    return rows, np.where(bought[rows], 1.0, 1.0 / config.negatives)


def _parameters(config: TreesConfig) -> dict[str, Any]:
    return {
        "objective": config.objective,
        "learning_rate": config.rate,
        "num_leaves": config.leaves,
        "min_data_in_leaf": config.least_examples,
        "feature_fraction": config.feature_share,
        "bagging_fraction": config.example_share,
        "bagging_freq": 1,
        "lambda_l2": config.l2,
        "max_bin": config.bins,
        "lambdarank_truncation_level": config.truncation,
        "num_threads": config.threads,
        "deterministic": True,
        "force_row_wise": True,
        "seed": config.seed,
        "verbose": -1,
    }
