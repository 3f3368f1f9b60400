"""The suite on one machine, from the lock on its data folder to the last process gone."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from services.supervisor.adapters.certificates import keep_renewed
from services.supervisor.adapters.data_folder import DataFolder, read_json, write_atomically
from services.supervisor.adapters.logs import BoundedLog
from services.supervisor.adapters.process import LoggedProcesses
from services.supervisor.backoff import Backoff
from services.supervisor.board import StatusBoard
from services.supervisor.domain import SATISFIED, SuiteEvent, UnitState, UnitStatus
from services.supervisor.errors import SupervisorError, UnitFailed
from services.supervisor.order import start_levels, stop_levels
from services.supervisor.services import SUPERVISOR
from services.supervisor.settings import SupervisorSettings
from services.supervisor.supervise import UnitSupervisor
from services.supervisor.wiring import Plan, plan


class Suite:
    """``async with Suite(settings) as suite: await suite.wait_ready()``.

    Entering takes the lock, chooses ports and begins to start everything; leaving stops it in reverse order.
    ``only`` limits it to the units named; what they need beyond that is taken to run elsewhere. ``on_event`` is
    called from the event loop for each change and each line of progress. The thread that runs the loop must live
    as long as the suite: the kernel ends the processes with the thread that started them.
    """

    def __init__(
        self,
        settings: SupervisorSettings,
        *,
        only: Collection[str] | None = None,
        on_event: Callable[[SuiteEvent], None] | None = None,
    ) -> None:
        self._settings = settings
        self._only = only
        self._folder = DataFolder(settings.data)
        self._stack = ExitStack()
        self._board = StatusBoard(self._folder.logs, on_event, self._save_state)
        self._plan: Plan | None = None
        self._supervisors: dict[str, UnitSupervisor] = {}
        self._renewal: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._started = time.time()

    async def __aenter__(self) -> Self:
        """Raises DataFolderLocked and PortTaken; nothing runs then."""
        self._stack.enter_context(self._folder)
        try:
            made = self._plan = plan(self._settings, self._folder, self._only)
        except BaseException:
            self._stack.close()
            raise
        self._folder.note_environment(made.environment)
        for name, address in made.external.items():
            self._board.add(name, address, UnitState.EXTERNAL)
        needs = {name: unit.needs for name, unit in made.units.items()}
        for name in (name for level in start_levels(needs) for name in level):
            unit = made.units[name]
            self._board.add(name, unit.address, UnitState.WAITING)
            backoff = Backoff(
                longest_seconds=self._settings.longest_pause_seconds,
                stable_seconds=self._settings.stable_seconds,
            )
            self._supervisors[name] = UnitSupervisor(unit, self._board, LoggedProcesses(self._log(name)), backoff)
        for supervisor in self._supervisors.values():
            supervisor.start()
        if made.authority:
            self._renewal = asyncio.create_task(keep_renewed(made.authority, [*made.units, SUPERVISOR]))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._renewal:
            self._renewal.cancel()
        needs = {name: unit.needs for name, unit in self._planned.units.items()}
        try:
            for level in stop_levels(needs):
                await asyncio.gather(*(self._supervisors[name].stop() for name in level))
        finally:
            self._stack.close()

    @property
    def environment(self) -> dict[str, str]:
        """The suite's addresses under the keys that services read."""
        return dict(self._planned.environment)

    @property
    def addresses(self) -> dict[str, str]:
        """``host:port`` by unit; for external systems what the user gave."""
        return {row.unit: row.address for row in self._board.rows()}

    def unit(self, name: str) -> UnitStatus:
        """Where a unit stands now. Raises KeyError."""
        return self._board[name]

    def units(self) -> list[UnitStatus]:
        """All units in start order."""
        return self._board.rows()

    async def wait_ready(self, seconds: float | None = None) -> None:
        """Returns when every unit serves.

        Raises UnitFailed, naming the unit and its log, when one cannot run here, keeps ending, or takes longer
        than ``seconds`` (default: the setting ``ready_seconds``).
        """
        limit = seconds if seconds is not None else self._settings.ready_seconds
        try:
            async with asyncio.timeout(limit):
                await self._board.until(self._settled)
        except TimeoutError:
            pass
        for row in self._board.rows():
            if self._hopeless(row):
                raise UnitFailed(self._explain(row, row.message))
        late = [row for row in self._board.rows() if row.state not in SATISFIED]
        if late:
            raise UnitFailed(self._explain(late[0], f"{late[0].state} after {limit:.0f} s {late[0].message}".strip()))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns once the condition holds; it is asked after each change of a unit."""
        await self._board.until(condition)

    def take_signals(self) -> None:
        """From here on SIGINT and SIGTERM do what ``stop()`` does."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)

    async def until_stopped(self) -> None:
        """Returns on ``stop()``."""
        await self._stop.wait()

    def stop(self) -> None:
        """Lets ``until_stopped`` return."""
        self._stop.set()

    @property
    def _planned(self) -> Plan:
        if self._plan is None:
            raise SupervisorError("the suite is not open: use `async with Suite(...)`")
        return self._plan

    def _log(self, name: str) -> BoundedLog:
        return BoundedLog(self._folder.logs / f"{name}.log", limit_bytes=self._settings.log_bytes)

    def _settled(self) -> bool:
        rows = self._board.rows()
        return any(map(self._hopeless, rows)) or all(row.state in SATISFIED for row in rows)

    def _hopeless(self, row: UnitStatus) -> bool:
        return row.state is UnitState.FAILED or row.failures >= self._settings.failed_starts

    def _explain(self, row: UnitStatus, reason: str) -> str:
        log = self._log(row.unit)
        tail = "".join(f"\n  {line}" for line in log.tail())
        return f"{row.unit}: {reason} (log: {log.path}){tail}"

    def _save_state(self, rows: list[UnitStatus]) -> None:
        units = [{**asdict(row), "port": row.port} for row in rows]
        state = {"supervisor": os.getpid(), "started": self._started, "units": units}
        with suppress(OSError):  # on a full disk the file is old until the next change; nothing stands still for it
            write_atomically(self._folder.run / "state.json", json.dumps(state, indent=1))


def stop_on_signals() -> None:
    """Lets SIGINT and SIGTERM cancel the calling task, until `Suite.take_signals`.

    So a stop during the start is an orderly one as well; also where SIGINT is ignored at first, as it is in what a
    shell without job control starts in the background.
    """
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def read_state(settings: SupervisorSettings) -> dict[str, Any]:
    """The state that the last or current run wrote: ``supervisor``, ``started``, ``units``; empty without a run."""
    return read_json(DataFolder(settings.data).run / "state.json")
