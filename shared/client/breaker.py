"""Circuit breaker: a service that is down is not called."""

from __future__ import annotations

import time
from collections.abc import Callable

from shared.telemetry.metrics import BREAKER_OPEN


class CircuitBreaker:
    """Opens after ``threshold`` failures in a row; then lets one probe through after each back-off.

    Only failures to reach the peer count; an error that the peer answered with proves that it is up. The
    longest back-off is short, because a probe on a refused connection costs almost nothing and a peer that is
    back shall be used within a second.
    """

    def __init__(
        self,
        peer: str,
        *,
        threshold: int = 5,
        first_pause_seconds: float = 0.1,
        longest_pause_seconds: float = 0.4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold = threshold
        self._first_pause = first_pause_seconds
        self._longest_pause = longest_pause_seconds
        self._clock = clock
        self._failures = 0
        self._pause = first_pause_seconds
        self._probe_at = 0.0
        self._gauge = BREAKER_OPEN.labels(peer)
        self._gauge.set(0)

    @property
    def is_open(self) -> bool:
        """Whether calls fail at once (but for probes)."""
        return self._failures >= self._threshold

    def allows(self) -> bool:
        """Whether a call may be made now. While open, one call per pause may: the probe."""
        if not self.is_open:
            return True
        now = self._clock()
        if now < self._probe_at:
            return False
        self._probe_at = now + self._pause  # a probe that never reports back delays the next one, no more
        return True

    def retry_after_seconds(self) -> float:
        """When the next probe is due."""
        return max(0.0, self._probe_at - self._clock())

    def succeeded(self) -> None:
        """The peer answered."""
        if self.is_open:
            self._gauge.set(0)
        self._failures = 0
        self._pause = self._first_pause

    def failed(self) -> None:
        """The peer was not reached."""
        was_open = self.is_open
        self._failures += 1
        if not self.is_open:
            return
        if was_open:
            self._pause = min(self._pause * 2, self._longest_pause)
        self._probe_at = self._clock() + self._pause
        self._gauge.set(1)
