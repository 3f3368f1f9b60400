"""Target policies and reward models over cells: a context (a position, say) and an action.

Legend: N rows of the log, C contexts, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.evaluation.arrays import Doubles, Longs
from shared.evaluation.intervals import Resampling

FOLDS = 5
PRIOR_ROWS = 20.0
"""Rows' worth of the context's mean that a cell's mean is shrunk with: rare rewards make cell means wild."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPolicy:
    """What the target policy shows, estimated from a log of its own, at the cells of the rows of another log."""

    counts: Longs
    """How often it took each action in each context `[C, A]`."""
    contexts: Longs
    actions: Longs
    """Cells of the rows of the log that is evaluated `[N]`."""

    @classmethod
    def of(cls, cells: tuple[Longs, Longs], own_cells: tuple[Longs, Longs], shape: tuple[int, int]) -> TargetPolicy:
        """From (contexts, actions) of the evaluated log and of the policy's own log; `shape` is (C, A).

        Raises ValueError for a context in which the policy was never logged.
        """
        keys = np.ravel_multi_index(own_cells, shape)
        counts = np.bincount(keys, minlength=shape[0] * shape[1]).reshape(shape)
        absent = np.setdiff1d(cells[0], np.flatnonzero(counts.sum(axis=1)))
        if len(absent):
            row = int((cells[0] == absent[0]).argmax())
            raise ValueError(f"context[{row}]: the target policy's log has no row of this context")
        return cls(counts=counts.astype(np.int64), contexts=cells[0], actions=cells[1])

    @property
    def probabilities(self) -> Doubles:
        """Shares of actions within each context `[C, A]`."""
        total = self.counts.sum(axis=1, keepdims=True)
        return np.divide(self.counts, total, out=np.zeros(self.counts.shape), where=total > 0)

    @property
    def of_rows(self) -> Doubles:
        """Probability of each row's action `[N]`."""
        return self.probabilities[self.contexts, self.actions]

    @property
    def unsupported(self) -> float:
        """Share of the policy's choices, over the log's contexts, that the log holds no row of."""
        seen_CA = self.by_cell(np.ones(len(self.contexts))) > 0
        missed_C = (self.probabilities * ~seen_CA).sum(axis=1)
        return float(missed_C[self.contexts].mean())

    def by_cell(self, values_N: Doubles) -> Doubles:
        """Sums over the rows of each cell `[C, A]`."""
        keys = np.ravel_multi_index((self.contexts, self.actions), self.counts.shape)
        sums = np.bincount(keys, values_N, minlength=self.counts.size).reshape(self.counts.shape)
        return sums.astype(np.float64)

    def resampled_change(self, slope_CA: Doubles, config: Resampling) -> Doubles:
        """sum over cells of slope · (share drawn again - share), by draw `[draws]`."""
        random = np.random.default_rng((config.seed, 1))  # independent of the draws of rows
        change = np.zeros(config.draws)
        for total, shares, slope in zip(self.counts.sum(axis=1), self.probabilities, slope_CA, strict=True):
            if total:
                drawn = random.multinomial(total, shares, config.draws) / total
                change += (drawn - shares) @ slope
        return change


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardModel:
    """Mean reward by cell, shrunk to the context's mean; a row is predicted by a model that did not see it."""

    by_fold: Doubles
    """Predictions of the model of each fold `[F, C, A]`."""
    folds: Longs
    contexts: Longs
    actions: Longs
    """Fold and cell of each row `[N]`."""

    @classmethod
    def fit(
        cls, cells: tuple[Longs, Longs], rewards_N: Doubles, groups_N: Longs, shape: tuple[int, int], seed: int = 0
    ) -> RewardModel:
        """Fits by cross-fitting (Chernozhukov et al. 2018) in 5 folds; rows of one group stay in one fold."""
        fold_of_group = np.random.default_rng(seed).integers(0, FOLDS, int(groups_N.max()) + 1)
        folds = fold_of_group[groups_N]
        keys = np.ravel_multi_index(cells, shape)
        models = [_shrunk_means(keys[folds != fold], rewards_N[folds != fold], shape) for fold in range(FOLDS)]
        return cls(by_fold=np.stack(models), folds=folds, contexts=cells[0], actions=cells[1])

    @property
    def predicted(self) -> Doubles:
        """Prediction for each row's action `[N]`."""
        return self.by_fold[self.folds, self.contexts, self.actions]

    def expected(self, policy: TargetPolicy) -> Doubles:
        """Prediction for each row's context under the target policy `[N]`."""
        by_context_FC = np.einsum("fca,ca->fc", self.by_fold, policy.probabilities)
        return np.asarray(by_context_FC[self.folds, self.contexts], np.float64)

    def mean_prediction_by_cell(self) -> Doubles:
        """Derivative of the mean of `expected` by the target's probability of each cell `[C, A]`."""
        shape = self.by_fold.shape[:2]
        rows_FC = np.bincount(np.ravel_multi_index((self.folds, self.contexts), shape), minlength=shape[0] * shape[1])
        return np.asarray(np.einsum("fc,fca->ca", rows_FC.reshape(shape) / len(self.folds), self.by_fold), np.float64)


def _shrunk_means(keys: npt.NDArray[np.intp], rewards: Doubles, shape: tuple[int, int]) -> Doubles:
    size = shape[0] * shape[1]
    count_CA = np.bincount(keys, minlength=size).reshape(shape)
    total_CA = np.bincount(keys, rewards, minlength=size).reshape(shape)
    overall = rewards.mean() if len(rewards) else 0.0
    context_C = (total_CA.sum(axis=1) + PRIOR_ROWS * overall) / (count_CA.sum(axis=1) + PRIOR_ROWS)
    return np.asarray((total_CA + PRIOR_ROWS * context_C[:, None]) / (count_CA + PRIOR_ROWS), np.float64)
