"""Comparing two arms' means of anything, such as revenue a person, as often as one likes.

An asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, "Time-uniform central limit
theory and asymptotic confidence sequences", Annals of Statistics 52(6), theorem 2.2): with n observations,

    mean ± sd · sqrt( 2 (n r² + 1) / (n² r²) · ln( sqrt(n r² + 1) / alpha ) )

covers the mean at all n at once with probability 1 - alpha, as the time of the first look grows. For the difference of
two arms the observations are those of both in turn and sd² / n is the sum of the arms' sd² / n, as for the augmented
inverse-probability estimator in a randomised experiment without covariates (the same paper, section 4). Nothing is
assumed of the distribution but a variance, so looks begin only when both arms hold `least_nonzero` values above 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.evaluation.intervals import Interval
from shared.evaluation.sequential import Verdict

LEAST_SPREAD = 1e-12
"""Below this the current mean cannot be told from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanConfig:
    """The promise, and where the sequence is tightest."""

    alpha: float = 0.05
    """Chance that the interval ever misses."""
    tightest_at: int = 10_000
    """Observations of both arms for which r is chosen (the same paper, equation 10); fixed before the data."""
    least_nonzero: int = 50
    """Values above 0 in each arm before anything is said: the promise is asymptotic, and most people buy nothing."""

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha is {self.alpha}: must be between 0 and 1")
        if self.tightest_at < 1 or self.least_nonzero < 2:
            raise ValueError(
                f"tightest_at is {self.tightest_at}: must be >= 1; least_nonzero is {self.least_nonzero}: must be >= 2"
            )


@dataclass(frozen=True, slots=True)
class MeanArm:
    """What one arm has seen so far."""

    count: int
    nonzero: int
    mean: float
    variance: float

    @classmethod
    def of(cls, values: npt.NDArray[np.float64]) -> MeanArm:
        """Sums up observations `[N]`."""
        if not len(values):
            return cls(0, 0, 0.0, 0.0)
        variance = float(values.var(ddof=1)) if len(values) > 1 else 0.0
        return cls(len(values), int(np.count_nonzero(values)), float(values.mean()), variance)

    @property
    def error(self) -> float:
        """Variance of the mean."""
        return self.variance / self.count if self.count else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanComparison:
    """Holds at any time, however often it was asked before."""

    verdict: Verdict
    difference: Interval
    """Candidate's mean - current mean."""
    lift: Interval
    """(Candidate's mean - current mean) / current mean."""


DEFAULT = MeanConfig()


def compare_means(candidate: MeanArm, current: MeanArm, config: MeanConfig = DEFAULT) -> MeanComparison:
    """Whether the candidate's mean is higher or lower than that of what serves now.

    >>> compare_means(MeanArm(9000, 900, 1.5, 25.0), MeanArm(9000, 900, 1.0, 25.0)).verdict.value
    'better'
    >>> compare_means(MeanArm(100, 9, 1.5, 25.0), MeanArm(100, 9, 1.0, 25.0)).difference.low
    -inf
    """
    middle = candidate.mean - current.mean
    if min(candidate.nonzero, current.nonzero) < config.least_nonzero:
        nothing = Interval(middle, -math.inf, math.inf)
        return MeanComparison(verdict=Verdict.UNDECIDED, difference=nothing, lift=_unknown(candidate, current))
    factor = width_factor(candidate.count + current.count, config)
    half = factor * math.sqrt(candidate.error + current.error)
    difference = Interval(middle, middle - half, middle + half)
    return MeanComparison(verdict=verdict_of(difference), difference=difference, lift=_lift(candidate, current, factor))


def width_factor(count: int, config: MeanConfig = DEFAULT) -> float:
    """Half of the interval's width in standard errors of the mean of `count` observations; 1.96 for a single look.

    >>> round(width_factor(10_000), 2)
    3.04
    """
    target = -2.0 * math.log(config.alpha) + math.log(-2.0 * math.log(config.alpha)) + 1.0
    spread = count * target / config.tightest_at  # n r²
    return math.sqrt(2.0 * (spread + 1.0) / spread * math.log(math.sqrt(spread + 1.0) / config.alpha))


def verdict_of(difference: Interval) -> Verdict:
    """What an interval of a difference says."""
    if difference.low > 0:
        return Verdict.BETTER
    return Verdict.WORSE if difference.high < 0 else Verdict.UNDECIDED


def _lift(candidate: MeanArm, current: MeanArm, factor: float) -> Interval:
    """All ratios r for which the interval of candidate - r · current holds 0 (Fieller 1954), minus 1.

    The true ratio is among them at all times with the same probability as that one interval.
    """
    squared = factor * factor
    a = current.mean**2 - squared * current.error
    if a <= LEAST_SPREAD or current.mean <= 0:  # the current mean itself may be 0
        return _unknown(candidate, current)
    b = candidate.mean * current.mean
    c = candidate.mean**2 - squared * candidate.error
    root = math.sqrt(max(b * b - a * c, 0.0))
    return Interval(candidate.mean / current.mean - 1.0, (b - root) / a - 1.0, (b + root) / a - 1.0)


def _unknown(candidate: MeanArm, current: MeanArm) -> Interval:
    """The observed lift, which may be anything in truth."""
    return Interval(candidate.mean / current.mean - 1.0 if current.mean > 0 else 0.0, -math.inf, math.inf)
