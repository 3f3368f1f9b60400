"""Where every unit stands: one writer per unit, readers wait for changes."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from services.supervisor.domain import Need, SuiteEvent, UnitState, UnitStatus


class StatusBoard:
    """Keeps the status of all units, tells ``on_event`` and ``on_change`` of each change."""

    def __init__(
        self,
        logs: Path,
        on_event: Callable[[SuiteEvent], None] | None = None,
        on_change: Callable[[list[UnitStatus]], None] | None = None,
    ) -> None:
        self._logs = logs
        self._on_event = on_event
        self._on_change = on_change
        self._rows: dict[str, UnitStatus] = {}
        self._changed = asyncio.Event()
        self._began = time.monotonic()

    def add(self, unit: str, address: str, state: UnitState) -> None:
        """Enters a unit, before anything is set for it."""
        self._rows[unit] = UnitStatus(unit=unit, state=state, address=address, since=time.time())
        self._publish()

    def __getitem__(self, unit: str) -> UnitStatus:
        return self._rows[unit]

    def __contains__(self, unit: object) -> bool:
        return unit in self._rows

    def rows(self) -> list[UnitStatus]:
        """All units in the order in which they were added."""
        return list(self._rows.values())

    def move(self, unit: str, state: UnitState, *, pid: int | None = None, message: str = "") -> None:
        """Sets state and process id. Becoming ready ends a row of failures; the same state again changes nothing."""
        row = self._rows[unit]
        if (row.state, row.pid) == (state, pid):
            return
        failures = 0 if state is UnitState.READY else row.failures
        self._rows[unit] = replace(row, state=state, pid=pid, message=message, failures=failures, since=time.time())
        self._publish()
        self.tell(unit, message)

    def count_restart(self, unit: str) -> None:
        """Counts an end that was not asked for; the next ``move`` publishes it."""
        row = self._rows[unit]
        self._rows[unit] = replace(row, restarts=row.restarts + 1, failures=row.failures + 1)

    def tell(self, unit: str, message: str) -> None:
        """Passes a line of progress on; the state stays."""
        if self._on_event:
            state = self._rows[unit].state
            log = self._logs / f"{unit}.log"
            elapsed = time.monotonic() - self._began
            self._on_event(SuiteEvent(unit=unit, state=state, message=message, log=log, elapsed=elapsed))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns once the condition holds; it is asked after each change."""
        while not condition():
            await self._changed.wait()

    async def until_met(self, needs: Iterable[Need]) -> None:
        """Waits for the units needed. Units that are not on the board are somebody else's business."""
        wanted = [need for need in needs if need.unit in self._rows]
        await self.until(lambda: all(need.met_by(self._rows[need.unit].state) for need in wanted))

    def _publish(self) -> None:
        # Wake those who wait on the old event; later changes set the new one.
        self._changed.set()
        self._changed = asyncio.Event()
        if self._on_change:
            self._on_change(self.rows())
