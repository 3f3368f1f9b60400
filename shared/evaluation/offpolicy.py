"""Off-policy evaluation: the click-through or conversion that another policy would have had, from logged impressions.

Each row says in which context (a position, say) which action (a product) was shown, with which probability the logging
policy chose it (propensity), and what came of it. With w = target probability / propensity, q the reward model:

    IPS    mean(w r)                                   unbiased (Horvitz & Thompson 1952)
    SNIPS  sum(w r) / sum(w)                           steadier, slightly biased (Swaminathan & Joachims 2015)
    DR     mean(sum_a target(a) q(a) + w (r - q))      unbiased if propensities or q are right (Dudík et al. 2011)

All hold only where the logging policy could have chosen what the target chooses: see `Diagnosis`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from shared.evaluation.arrays import Doubles, Longs, Mask, finite
from shared.evaluation.intervals import DEFAULT, Interval, Resampling, empirical_bernstein, interval_of, resampled_sums
from shared.evaluation.policies import RewardModel, TargetPolicy


class IntervalKind(StrEnum):
    """How intervals are made."""

    BOOTSTRAP = "bootstrap"
    """Percentile bootstrap over independent groups of rows."""
    BERNSTEIN = "bernstein"
    """Empirical Bernstein: valid for any sample size, wide; needs a clip and rewards within 0..1. Not for SNIPS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OffPolicyConfig:
    """Choices of the estimate."""

    clip: float | None = None
    """Largest weight; lowers variance, biases towards the logging policy. None: no limit."""
    interval: IntervalKind = IntervalKind.BOOTSTRAP
    resampling: Resampling = DEFAULT

    def __post_init__(self) -> None:
        if self.clip is not None and self.clip <= 0:
            raise ValueError(f"clip is {self.clip}: must be > 0")
        if self.interval is IntervalKind.BERNSTEIN and self.clip is None:
            raise ValueError("clip is None: must be set for an empirical Bernstein interval")


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """Logged impressions in columns `[N]`."""

    rewards: Doubles
    propensities: Doubles
    """The logging policy's probability of the action it took."""
    target: Doubles
    """The target policy's probability of the same action in the same context."""
    groups: Longs
    """Rows with the same number depend on each other (one answer, one visitor) and are drawn together."""

    @classmethod
    def of(
        cls,
        rewards: npt.ArrayLike,
        propensities: npt.ArrayLike,
        target: npt.ArrayLike,
        groups: npt.ArrayLike | None = None,
    ) -> Log:
        """Checks columns. Raises ValueError that names the first bad row and its field."""
        columns = {
            "reward": finite("reward", rewards),
            "propensity": _probabilities("propensity", propensities, allow_zero=False),
            "target": _probabilities("target", target, allow_zero=True),
        }
        count = len(columns["reward"])
        numbers = np.arange(count) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
        sizes = {name: len(column) for name, column in columns.items()} | {"group": len(numbers)}
        if count == 0 or set(sizes.values()) != {count}:
            raise ValueError(f"columns have {sizes} rows: must be equally many, at least one")
        return cls(
            rewards=columns["reward"],
            propensities=columns["propensity"],
            target=columns["target"],
            groups=numbers.astype(np.int64),
        )

    def __len__(self) -> int:
        return len(self.rewards)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Whether the log can answer the question."""

    rows: int
    effective_sample_size: float
    """(sum w)² / sum w² (Kish 1965): rows that an on-policy log of the same precision would need, roughly."""
    mean_weight: float
    """Near 1 without clipping; far from it: propensities are wrong, or actions were never logged."""
    largest_weight: float
    clipped: int
    """Rows whose weight was cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OffPolicyEstimates:
    """Value of the target policy per row, by estimator; DR only where the whole target policy is known."""

    values: dict[str, Interval]
    logging: Interval
    """Mean reward of the logging policy, for comparison."""
    diagnosis: Diagnosis


def evaluate(
    log: Log,
    config: OffPolicyConfig | None = None,
    policy: TargetPolicy | None = None,
    model: RewardModel | None = None,
) -> OffPolicyEstimates:
    """Estimates the target policy's value by IPS and SNIPS, and by DR where its policy and a reward model are given.

    Where the policy was itself estimated from a log, the bootstrap interval includes that uncertainty.
    """
    config = config or OffPolicyConfig()
    weights, clipped = _weights(log, config.clip)
    unit = np.ones(len(log))
    estimators = {"ips": (weights * log.rewards, unit), "snips": (weights * log.rewards, weights)}
    if policy is not None and model is not None:
        expected = model.expected(policy)
        estimators["dr"] = (expected + weights * (log.rewards - model.predicted), unit)
    values = {}
    for name, (numerator, denominator) in estimators.items():
        if config.interval is IntervalKind.BERNSTEIN:
            if name != "snips":
                values[name] = _bernstein(log, numerator, name, config)
            continue
        # d value / d target(action), row by row: what uncertainty of the target policy does to the value.
        residual = log.rewards - (model.predicted if name == "dr" and model else 0.0)
        slope = np.where(clipped, 0.0, residual / log.propensities)
        if name == "snips":
            slope -= np.where(clipped, 0.0, numerator.sum() / denominator.sum() / log.propensities)
        noise = _policy_noise(policy, model if name == "dr" else None, slope / denominator.sum(), config)
        values[name] = _ratio(log.groups, numerator, denominator, config.resampling, noise)
    diagnosis = Diagnosis(
        rows=len(log),
        effective_sample_size=float(weights.sum() ** 2 / (weights**2).sum()),
        mean_weight=float(weights.mean()),
        largest_weight=float(weights.max()),
        clipped=int(clipped.sum()),
    )
    return OffPolicyEstimates(
        values=values, logging=mean_reward(log.rewards, log.groups, config.resampling), diagnosis=diagnosis
    )


def mean_reward(rewards_N: Doubles, groups_N: Longs, config: Resampling) -> Interval:
    """On-policy value: the mean reward of the policy that served, rows of a group drawn together."""
    return _ratio(groups_N, rewards_N, np.ones(len(rewards_N)), config, 0.0)


def _weights(log: Log, clip: float | None) -> tuple[Doubles, Mask]:
    weights = log.target / log.propensities
    if not weights.any():
        raise ValueError("target is 0 in every row: the log holds no action that the target policy takes")
    clipped = weights > (np.inf if clip is None else clip)
    return np.where(clipped, clip or 0.0, weights), clipped


def _ratio(
    groups: Longs, numerator: Doubles, denominator: Doubles, config: Resampling, noise: Doubles | float
) -> Interval:
    """Sum over rows of the one / the other, groups drawn with replacement."""
    columns = [np.bincount(groups, column) for column in (numerator, denominator)]
    drawn = resampled_sums(np.stack(columns, axis=1).astype(np.float64), config)
    whole = drawn[:, 1] != 0
    values = drawn[whole, 0] / drawn[whole, 1] + (noise[whole] if isinstance(noise, np.ndarray) else noise)
    return interval_of(float(numerator.sum() / denominator.sum()), values, config)


def _policy_noise(
    policy: TargetPolicy | None, model: RewardModel | None, slope_N: Doubles, config: OffPolicyConfig
) -> Doubles | float:
    """Draws of the value's change when the target policy is estimated anew from as many rows; 0 for a known one."""
    if policy is None:
        return 0.0
    slope_CA = policy.by_cell(slope_N)
    if model is not None:
        slope_CA = slope_CA + model.mean_prediction_by_cell()
    return policy.resampled_change(slope_CA, config.resampling)


def _bernstein(log: Log, values_N: Doubles, name: str, config: OffPolicyConfig) -> Interval:
    clip = config.clip or 0.0
    if log.rewards.min() < 0 or log.rewards.max() > 1:
        raise ValueError("reward: must be within 0..1 for an empirical Bernstein interval")
    if len(np.unique(log.groups)) < len(log):
        raise ValueError("group: rows must be independent for an empirical Bernstein interval")
    low, high = (-clip, 1.0 + clip) if name == "dr" else (0.0, clip)
    return empirical_bernstein(values_N, low, high, config.resampling.confidence)


def _probabilities(name: str, values: npt.ArrayLike, *, allow_zero: bool) -> Doubles:
    array = np.asarray(values, np.float64)
    least = array >= 0 if allow_zero else array > 0
    bad = ~(least & (array <= 1))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"{name}[{row}] is {array[row]}: must be {'>= 0' if allow_zero else '> 0'} and <= 1")
    return array
