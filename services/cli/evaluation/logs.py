"""Logged impressions from files: the log of the policy that served, and what is known of the policy to be judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from services.cli.errors import CliError
from services.cli.evaluation.columns import numbers, read_columns
from shared.evaluation.arrays import Doubles, Longs
from shared.evaluation.intervals import Interval
from shared.evaluation.offpolicy import Log, OffPolicyConfig, OffPolicyEstimates, evaluate, mean_reward
from shared.evaluation.policies import RewardModel, TargetPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Names of columns."""

    action: str
    reward: str
    propensity: str
    contexts: tuple[str, ...]
    """Columns that together name the context in which an action was chosen."""
    group: str | None
    target: str | None
    """Of the judged policy's probability, where it is known by row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What is known of the judged policy."""

    estimates: OffPolicyEstimates
    own: Interval | None
    """Mean reward in its own log, where that has rewards."""
    unsupported: float
    """Share of its choices that the log never shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLogs:
    """Columns as the estimators take them."""

    log: Log
    policy: TargetPolicy | None
    model: RewardModel | None
    own: tuple[Doubles, Longs] | None
    """Rewards and groups of the judged policy's own log."""

    def evaluate(self, config: OffPolicyConfig) -> Evaluation:
        """Runs the estimators. Raises ValueError where the log cannot answer."""
        return Evaluation(
            estimates=evaluate(self.log, config, self.policy, self.model),
            own=None if self.own is None else mean_reward(*self.own, config.resampling),
            unsupported=self.policy.unsupported if self.policy else 0.0,
        )


def read_logs(log: Path, evaluation: Path | None, columns: Columns) -> PolicyLogs:
    """Reads both files. Raises CliError for what is missing, ValueError for a bad row, naming row and field."""
    if (evaluation is None) == (columns.target is None):
        raise CliError("give either --evaluation (a log of the judged policy) or --target-probability (a column)")
    names = [columns.reward, columns.propensity, *([columns.group] if columns.group else [])]
    if evaluation is None:
        return _known(log, names, columns)
    return _estimated(log, evaluation, names, columns)


def _known(path: Path, names: list[str], columns: Columns) -> PolicyLogs:
    target = columns.target or ""
    table = read_columns(path, [*names, target])
    log = _log(path, table, numbers(path, target, table[target]), columns)
    return PolicyLogs(log=log, policy=None, model=None, own=None)


def _estimated(path: Path, evaluation: Path, names: list[str], columns: Columns) -> PolicyLogs:
    cell_names = [columns.action, *columns.contexts]
    group_names = [columns.group] if columns.group else []
    table = read_columns(path, [*names, *cell_names])
    own = read_columns(evaluation, [columns.reward, *group_names, *cell_names])
    cells, own_cells, shape = _cells(table, own, columns)
    policy = TargetPolicy.of(cells, own_cells, shape)
    log = _log(path, table, policy.of_rows, columns)
    own_rewards = numbers(evaluation, columns.reward, own[columns.reward])
    keys = own[columns.group] if columns.group else np.arange(len(own_rewards))
    return PolicyLogs(
        log=log,
        policy=policy,
        model=RewardModel.fit(cells, log.rewards, log.groups, shape),
        own=(own_rewards, np.unique(keys, return_inverse=True)[1].astype(np.int64)),
    )


def _log(path: Path, table: dict[str, npt.NDArray[Any]], target: npt.NDArray[np.float64], columns: Columns) -> Log:
    rewards, propensities = (numbers(path, name, table[name]) for name in (columns.reward, columns.propensity))
    return Log.of(rewards, propensities, target, table[columns.group] if columns.group else None)


def _cells(
    table: dict[str, npt.NDArray[Any]], own: dict[str, npt.NDArray[Any]], columns: Columns
) -> tuple[tuple[Longs, Longs], tuple[Longs, Longs], tuple[int, int]]:
    """Numbers of contexts and actions, the same in both logs, and how many there are."""
    split = len(table[columns.action])
    actions, action_count = _numbered([np.concatenate([table[columns.action], own[columns.action]])])
    if columns.contexts:
        contexts, context_count = _numbered([np.concatenate([table[name], own[name]]) for name in columns.contexts])
    else:
        contexts, context_count = np.zeros(len(actions), np.int64), 1
    return (
        (contexts[:split], actions[:split]),
        (contexts[split:], actions[split:]),
        (context_count, action_count),
    )


def _numbered(columns: list[npt.NDArray[Any]]) -> tuple[Longs, int]:
    """One number for each combination of values that occurs."""
    codes = np.stack([np.unique(column.astype(str), return_inverse=True)[1] for column in columns], axis=1)
    found, inverse = np.unique(codes, axis=0, return_inverse=True)
    return inverse.astype(np.int64).ravel(), len(found)
