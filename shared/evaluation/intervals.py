"""Uncertainty of means over users, and paired comparison of two models on the same users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.evaluation.arrays import Doubles, finite

AT_ONCE = 4_000_000
"""Numbers that are drawn at once: bounds memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How intervals and tests draw."""

    draws: int = 2000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"draws is {self.draws}: must be >= 1")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence is {self.confidence}: must be between 0 and 1")


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its confidence interval."""

    mean: float
    low: float
    high: float

    def excludes(self, value: float) -> bool:
        """Whether the value lies outside."""
        return not self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model against another on the same users: mean difference, its interval, and how surprising it is by chance."""

    difference: Interval
    p_value: float
    """Two-sided; null hypothesis: for each user the two values might as well be exchanged."""


DEFAULT = Resampling()


def bootstrap(values_N: npt.ArrayLike, config: Resampling = DEFAULT) -> Interval:
    """Mean and its percentile bootstrap interval over users (Efron 1979). Raises ValueError for none or not finite.

    >>> bootstrap([0.0, 1.0] * 50).mean
    0.5
    """
    values = _sample("values", values_N)
    return interval_of(float(values.mean()), resampled_sums(values[:, None], config)[:, 0] / len(values), config)


def interval_of(mean: float, drawn: Doubles, config: Resampling = DEFAULT) -> Interval:
    """The interval between the outer quantiles of a statistic's draws."""
    tail = (1.0 - config.confidence) / 2
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return Interval(mean, float(low), float(high))


def resampled_sums(columns_ND: Doubles, config: Resampling = DEFAULT) -> Doubles:
    """Sums of each column over rows drawn with replacement, by draw `[draws, D]`; columns share the drawn rows."""
    random = np.random.default_rng(config.seed)
    rows, columns = columns_ND.shape
    distinct, counts = np.unique(columns_ND, axis=0, return_counts=True)
    # How often each distinct row is drawn is multinomial: where few rows differ, as in logs of clicks, that is far
    # cheaper than drawing every row; one multinomial category costs about as much as ten drawn rows.
    few = len(distinct) * 10 < rows
    sums = np.empty((config.draws, columns))
    for start, stop in _chunks(config.draws, len(distinct) if few else rows):
        if few:
            sums[start:stop] = random.multinomial(rows, counts / rows, stop - start) @ distinct
        else:
            drawn = random.integers(0, rows, (stop - start, rows))
            for column in range(columns):
                sums[start:stop, column] = columns_ND[drawn, column].sum(axis=1)
    return sums


def empirical_bernstein(values_N: npt.ArrayLike, low: float, high: float, confidence: float = 0.95) -> Interval:
    """Mean of independent values within [low, high] and an interval that holds for any sample size.

    mean ± sqrt(2 V log(4/d) / N) + 7 (high - low) log(4/d) / (3 (N - 1)), V the sample variance, d = 1 - confidence
    (Maurer & Pontil 2009, on both sides). Wide, but honest where the bootstrap sees too few successes.
    """
    values = _sample("values", values_N)
    if len(values) < 2 or values.min() < low or values.max() > high:
        raise ValueError(f"values must be at least two, all within [{low}, {high}]")
    logarithm = np.log(4.0 / (1.0 - confidence))
    spread = np.sqrt(2.0 * values.var(ddof=1) * logarithm / len(values))
    reach = spread + 7.0 * (high - low) * logarithm / (3.0 * (len(values) - 1))
    mean = float(values.mean())
    return Interval(mean, max(float(mean - reach), low), min(float(mean + reach), high))


def paired_difference(ours_N: npt.ArrayLike, theirs_N: npt.ArrayLike, config: Resampling = DEFAULT) -> Interval:
    """Mean of ours - theirs and its bootstrap interval; users are drawn, each with both values."""
    return bootstrap(_differences(ours_N, theirs_N), config)


def randomisation_test(ours_N: npt.ArrayLike, theirs_N: npt.ArrayLike, config: Resampling = DEFAULT) -> float:
    """Two-sided p value of the paired randomisation test (Fisher 1935; Smucker et al. 2007).

    Signs of the differences are flipped at random; p = (1 + draws at least as far from 0) / (1 + draws), so it is
    valid for any number of draws and never 0.

    >>> randomisation_test([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    1.0
    """
    differences = _differences(ours_N, theirs_N)
    moved = differences[differences != 0]  # the others add nothing to any sum
    observed = abs(moved.sum())
    tolerance = 1e-12 * np.abs(moved).sum()
    random = np.random.default_rng(config.seed)
    extreme = 0
    for start, stop in _chunks(config.draws, len(moved)):
        signs = random.integers(0, 2, (stop - start, len(moved)), dtype=np.int8) * 2.0 - 1.0
        extreme += int((np.abs(signs @ moved) >= observed - tolerance).sum())
    return (1 + extreme) / (1 + config.draws)


def compare(ours_N: npt.ArrayLike, theirs_N: npt.ArrayLike, config: Resampling = DEFAULT) -> Comparison:
    """Paired difference with interval and randomisation test."""
    difference = paired_difference(ours_N, theirs_N, config)
    return Comparison(difference, randomisation_test(ours_N, theirs_N, config))


def holm(p_values: npt.ArrayLike) -> Doubles:
    """p values corrected for making several comparisons (Holm 1979): the chance of any false alarm stays bounded.

    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    values = finite("p_values", p_values)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(steps, 1.0)
    return corrected


def _chunks(draws: int, width: int) -> Iterator[tuple[int, int]]:
    step = max(1, AT_ONCE // max(width, 1))
    for start in range(0, draws, step):
        yield start, min(start + step, draws)


def _differences(ours_N: npt.ArrayLike, theirs_N: npt.ArrayLike) -> Doubles:
    ours, theirs = _sample("ours", ours_N), _sample("theirs", theirs_N)
    if ours.shape != theirs.shape:
        raise ValueError(f"ours has {len(ours)} values, theirs {len(theirs)}: must be the same users in the same order")
    return ours - theirs


def _sample(name: str, values: npt.ArrayLike) -> Doubles:
    array = finite(name, values)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"{name} has shape {array.shape}: must be one value a user, at least one")
    return array
