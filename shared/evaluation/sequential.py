"""Comparing two arms' conversion rates as often as one likes: a canary against what serves now.

Looking at an ordinary test every hour until it says "significant" raises false alarms far above 5 %. Here the statistic
is a mixture likelihood ratio (Robbins 1970; mixture SPRT of Johari et al. 2017) with a Beta prior for each arm. It is a
martingale at the true rates, so by Ville's inequality

    E(p0, p1) = prod over arms of  B(a + s, b + f) / (B(a, b) · p^s · (1 - p)^f)

passes 1 / alpha at *any* time with probability at most alpha (confidence sequences: Howard et al. 2021, Waudby-Smith &
Ramdas 2020). The interval of p1 - p0 is the shadow of {E < 1 / alpha}; it is exact, without normal approximation, at
any split of traffic. Trials must be independent and rates steady: count one trial a visitor, not one an impression.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import optimize, special

from shared.evaluation.intervals import Interval


class Verdict(StrEnum):
    """What may be said of the candidate now."""

    BETTER = "better"
    WORSE = "worse"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialConfig:
    """The promise, and where the test looks hardest."""

    alpha: float = 0.05
    """Chance of a wrong 'better' or 'worse' over the whole experiment."""
    prior_successes: float = 0.5
    prior_failures: float = 0.5
    """Beta prior of each arm. The promise holds whatever it is, but a prior near the truth decides much sooner."""

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha is {self.alpha}: must be between 0 and 1")
        if min(self.prior_successes, self.prior_failures) <= 0:
            raise ValueError("prior_successes and prior_failures must be > 0")

    @classmethod
    def around(cls, rate: float, *, relative_effect: float = 0.2, alpha: float = 0.05) -> SequentialConfig:
        """Looks hardest for rates within about `relative_effect` of one known from before the experiment.

        The prior has mean `rate` and standard deviation `rate * relative_effect`.
        """
        if not 0 < rate < 1 or relative_effect <= 0:
            raise ValueError(
                f"rate is {rate}: must be between 0 and 1; relative_effect is {relative_effect}: must be > 0"
            )
        strength = (1.0 - rate) / (rate * relative_effect**2)
        return cls(alpha=alpha, prior_successes=strength * rate, prior_failures=strength * (1.0 - rate))


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What one arm has seen so far."""

    successes: int
    trials: int

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.trials:
            raise ValueError(f"successes is {self.successes}: must be within 0..trials ({self.trials})")

    @property
    def failures(self) -> int:
        """Trials without success."""
        return self.trials - self.successes

    @property
    def rate(self) -> float:
        """Successes / trials; 0 without trials."""
        return self.successes / self.trials if self.trials else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialComparison:
    """Holds at any time, however often it was asked before."""

    verdict: Verdict
    difference: Interval
    """Candidate's rate - current rate."""
    p_value: float
    """Always valid: over the whole experiment P(ever <= alpha) <= alpha when the rates are equal."""


DEFAULT = SequentialConfig()
_SMALLEST, _LARGEST = -30.0, 30.0
"""Logarithms of the multipliers between which bounds are sought."""


def compare_rates(candidate: Arm, current: Arm, config: SequentialConfig = DEFAULT) -> SequentialComparison:
    """Whether the candidate converts better or worse than what serves now.

    >>> compare_rates(Arm(successes=0, trials=400), Arm(successes=40, trials=400)).verdict.value
    'worse'
    >>> compare_rates(Arm(successes=3, trials=40), Arm(successes=50, trials=500)).verdict.value
    'undecided'
    """
    low = _lowest_difference(candidate, current, config)
    high = -_lowest_difference(current, candidate, config)
    verdict = Verdict.BETTER if low > 0 else Verdict.WORSE if high < 0 else Verdict.UNDECIDED
    difference = Interval(candidate.rate - current.rate, low, high)
    return SequentialComparison(verdict=verdict, difference=difference, p_value=_p_value(candidate, current, config))


def compare_ratio(candidate: Arm, current: Arm, config: SequentialConfig = DEFAULT) -> Interval:
    """The interval of candidate's rate / current rate - 1: the lifts whose best-fitting rates have E < 1 / alpha.

    It holds together with `compare_rates`, at any time. Without a success of the current arm its end is open.

    >>> found = compare_ratio(Arm(successes=600, trials=10_000), Arm(successes=400, trials=10_000))
    >>> round(found.mean, 9), found.low > 0, found.high < 1.5
    (0.5, True, True)
    """
    limit = -float(np.log(config.alpha))

    def excess(log_ratio: float) -> float:
        low, high = _on_ratio(candidate, current, float(np.exp(log_ratio)))
        return _log_ratio(candidate, low, config) + _log_ratio(current, high, config) - limit

    middle = candidate.rate / current.rate - 1.0 if current.successes else 0.0
    least = -_LARGEST if not candidate.successes else _LARGEST if not current.successes else np.log1p(middle)
    best = 0.0 if not (candidate.successes or current.successes) else float(least)
    low, high = -1.0, float("inf")
    if candidate.successes and excess(-_LARGEST) > 0:
        low = float(np.expm1(optimize.brentq(excess, -_LARGEST, best)))
    if current.successes and excess(_LARGEST) > 0:
        high = float(np.expm1(optimize.brentq(excess, best, _LARGEST)))
    return Interval(middle, low, high)


def _on_ratio(one: Arm, other: Arm, ratio: float) -> tuple[float, float]:
    """The likeliest rates of which the first is `ratio` times the second: a root of the likelihood's derivative."""
    wins = one.successes + other.successes
    a = ratio * (one.trials + other.successes + other.failures)
    b = wins * (1.0 + ratio) + one.failures * ratio + other.failures
    root = 2.0 * wins / (b + np.sqrt(max(b * b - 4.0 * a * wins, 0.0)))
    rate = float(min(root, 1.0, 1.0 / ratio))
    return ratio * rate, rate


def _p_value(one: Arm, other: Arm, config: SequentialConfig) -> float:
    """1 / the ratio at the common rate that explains both arms best."""
    trials = one.trials + other.trials
    pooled = (one.successes + other.successes) / trials if trials else 0.5
    log_ratio = _log_ratio(one, pooled, config) + _log_ratio(other, pooled, config)
    return float(np.exp(-max(log_ratio, 0.0)))


def _log_ratio(arm: Arm, rate: float, config: SequentialConfig) -> float:
    """log of the mixture's likelihood over the likelihood at `rate`."""
    a, b = config.prior_successes, config.prior_failures
    mixture = special.betaln(a + arm.successes, b + arm.failures) - special.betaln(a, b)
    return float(mixture - special.xlogy(arm.successes, rate) - special.xlog1py(arm.failures, -rate))


def _lowest_difference(one: Arm, other: Arm, config: SequentialConfig) -> float:
    """Least p_one - p_other with E(p_one, p_other) <= 1 / alpha.

    log E is convex, so at the solution its gradient is (-m, m) for one multiplier m; both rates follow in closed
    form and log E grows with m.
    """
    limit = -np.log(config.alpha)

    def excess(log_m: float) -> float:
        low, high = _rates(one, other, np.exp(log_m))
        return _log_ratio(one, low, config) + _log_ratio(other, high, config) - float(limit)

    # At the largest multiplier the rates are as far apart as they can be.
    if excess(_LARGEST) <= 0:
        return -1.0
    log_m: float = optimize.brentq(excess, _SMALLEST, _LARGEST)
    low, high = _rates(one, other, np.exp(log_m))
    return low - high


def _rates(one: Arm, other: Arm, multiplier: float) -> tuple[float, float]:
    low = _lowered(one.successes, one.trials, multiplier)
    return low, 1.0 - _lowered(other.failures, other.trials, multiplier)


def _lowered(successes: int, trials: int, multiplier: float) -> float:
    """The rate p below successes / trials where d/dp log E = -multiplier: a root of m p² - (n + m) p + s = 0."""
    total = trials + multiplier
    root = np.sqrt(max(total * total - 4.0 * multiplier * successes, 0.0))
    return float(2.0 * successes / (total + root))
