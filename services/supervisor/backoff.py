"""The pause before a unit is started again."""


class Backoff:
    """Doubles from ``first_seconds`` to ``longest_seconds``; begins anew after a life of ``stable_seconds``."""

    def __init__(
        self, *, first_seconds: float = 0.2, longest_seconds: float = 15.0, stable_seconds: float = 30.0
    ) -> None:
        self._first = first_seconds
        self._longest = longest_seconds
        self._stable = stable_seconds
        self._next = first_seconds

    def after(self, ready_seconds: float) -> float:
        """Seconds to wait after a life that was ready for ``ready_seconds`` (0 if it never was)."""
        if ready_seconds >= self._stable:
            self._next = self._first
        delay = self._next
        self._next = min(self._next * 2, self._longest)
        return delay
