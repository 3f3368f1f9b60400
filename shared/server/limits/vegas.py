"""A limit on concurrent calls that follows what the service can do, from measured times alone.

TCP Vegas (Brakmo and Peterson, 1995) on calls, as in Netflix's concurrency-limits: of ``n`` calls in flight that take
``t`` where an idle service takes ``t0``, ``n (1 - t0/t)`` are waiting somewhere inside. Few waiting: the limit grows;
many: it shrinks; a call that ran out of time shrinks it by a tenth. ``t0`` is kept for each method, because methods
differ a hundredfold, as the least smoothed time of the last half to whole minute, and a saturated service is let run
half empty for a moment every ten seconds so that ``t0`` stays known: both from BBR (Cardwell et al., 2016).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

WINDOW_SECONDS = 0.25
WINDOW_SAMPLES = 8
FORGET_SECONDS = 30.0
PROBE_EVERY_SECONDS = 10.0
_SMOOTHING = 0.05
_DROP_FACTOR = 0.9
_FEW, _MANY = 3.0, 6.0
"""Calls waiting below which the limit grows and above which it shrinks, times log10 of the limit."""


class _Baseline:
    """Least smoothed seconds of one method in the current and the previous period."""

    __slots__ = ("_current", "_previous", "_since", "_smoothed")

    def __init__(self, seconds: float, now: float) -> None:
        self._smoothed = self._current = seconds
        self._previous, self._since = math.inf, now

    def add(self, seconds: float, now: float) -> float:
        """Takes a sample and returns the baseline."""
        self._smoothed += _SMOOTHING * (seconds - self._smoothed)
        if now - self._since > FORGET_SECONDS:
            self._previous, self._current, self._since = self._current, self._smoothed, now
        self._current = min(self._current, self._smoothed)
        return min(self._current, self._previous)


class VegasLimit:
    """The limit; ``sample`` tells it how calls went. Not for several threads."""

    method_share = 0.5
    """Places that one method may hold at most: a slow one behind a bottleneck of its own must leave room for others."""

    def __init__(self, *, initial: int, lowest: int, highest: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._lowest, self._highest = float(initial), lowest, highest
        self._clock = clock
        self._baselines: dict[str, _Baseline] = {}
        now = clock()
        self._probed = now
        self._probing = False
        self._start_window(now)

    @property
    def limit(self) -> int:
        """Calls that may run at once now."""
        return max(1, int(self._limit / 2)) if self._probing else int(self._limit)

    def sample(self, method: str, seconds: float, in_flight: int) -> None:
        """A call of ``method`` took ``seconds``, without its wait for a place; ``in_flight`` ran when it ended."""
        now = self._clock()
        baseline = self._baselines.get(method)
        if baseline is None:
            baseline = self._baselines[method] = _Baseline(seconds, now)
        self._least_sum += baseline.add(seconds, now)
        self._seconds_sum += seconds
        self._in_flight_sum += in_flight
        self._samples += 1
        self._end_window(now)

    def dropped(self) -> None:
        """A call ran out of time, or something behind was overloaded."""
        self._drops += 1
        self._samples += 1
        self._end_window(self._clock())

    def _start_window(self, now: float) -> None:
        self._began = now
        self._seconds_sum = self._least_sum = 0.0
        self._in_flight_sum = self._samples = self._drops = 0

    def _end_window(self, now: float) -> None:
        if now - self._began < WINDOW_SECONDS or self._samples < WINDOW_SAMPLES:
            return
        if self._probing:
            self._probing, self._probed = False, now
        else:
            self._adapt(now)
        self._start_window(now)

    def _adapt(self, now: float) -> None:
        """One step of the limit."""
        step = max(1.0, math.log10(self._limit))
        timed = self._samples - self._drops
        if self._drops * 10 > self._samples:
            self._limit *= _DROP_FACTOR
        elif timed:
            in_flight = self._in_flight_sum / timed
            waiting = in_flight * (1.0 - self._least_sum / max(self._seconds_sum, 1e-9))
            if waiting > _MANY * step:
                self._limit -= step
            elif waiting < _FEW * step and in_flight * 2 >= self._limit:
                self._limit += step
            if in_flight * 2 < self._limit:
                self._probed = now  # far from full: baselines are measured as it is
        self._limit = min(max(self._limit, float(self._lowest)), float(self._highest))
        self._probing = now - self._probed > PROBE_EVERY_SECONDS


class FixedLimit:
    """A limit that stays as it is, for whatever method."""

    method_share = 1.0

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def sample(self, method: str, seconds: float, in_flight: int) -> None:
        """Nothing to learn."""

    def dropped(self) -> None:
        """Nothing to learn."""
