"""Keeps one unit alive: prepare, start, watch, and again after a pause."""

import asyncio
import time
from typing import NamedTuple

from services.supervisor.backoff import Backoff
from services.supervisor.board import StatusBoard
from services.supervisor.domain import Health, UnitState
from services.supervisor.errors import CheckFailed, SupervisorError, Unrecoverable
from services.supervisor.ports import Processes, RunningProcess, Unit

FIRST_CHECK_SECONDS = 0.1
CHECK_GROWTH = 1.2


class Life(NamedTuple):
    """One life of a process: why it ended and how long it had been ready."""

    end: str
    ready_seconds: float


class UnitSupervisor:
    """Runs one unit until ``stop``. Its port and data stay the same over restarts."""

    def __init__(self, unit: Unit, board: StatusBoard, processes: Processes, backoff: Backoff) -> None:
        self._unit = unit
        self._board = board
        self._processes = processes
        self._backoff = backoff
        self._process: RunningProcess | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready_at: float | None = None

    def start(self) -> None:
        """Begins in the background."""
        self._task = asyncio.create_task(self._run(), name=f"supervise {self._unit.name}")

    async def stop(self) -> None:
        """Ends the process in an orderly way; returns when it and its group are gone."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._process:
            self._move(UnitState.STOPPING, pid=self._process.pid)
            await self._process.stop(self._unit.stop_signal, self._unit.timing.stop_seconds)
            self._process = None
        if self._board[self._unit.name].state is not UnitState.FAILED:
            self._move(UnitState.STOPPED)
        await self._unit.close()

    async def _run(self) -> None:
        await self._board.until_met(self._unit.needs)
        while True:
            try:
                life = await self._live()
            except Unrecoverable as error:
                self._processes.note(str(error))
                self._move(UnitState.FAILED, message=str(error))
                return
            except Exception as error:  # A defect in one unit must not end its supervision.
                life = Life(f"{type(error).__name__}: {error}", 0.0)
            self._board.count_restart(self._unit.name)
            delay = self._backoff.after(life.ready_seconds)
            message = f"{life.end}; starts again in {delay:.1f} s"
            self._processes.note(message)
            self._move(UnitState.BACKOFF, message=message)
            await asyncio.sleep(delay)

    async def _live(self) -> Life:
        """From preparation to the end of the process. Raises Unrecoverable."""
        self._ready_at = None
        self._move(UnitState.PREPARING)
        try:
            await self._unit.prepare(self._processes.run, self._progress)
        except Unrecoverable:
            raise
        except (SupervisorError, OSError) as error:
            return Life(str(error), 0.0)
        running = self._process = await self._processes.start(self._unit.command())
        self._move(UnitState.STARTING, pid=running.pid)
        try:
            end = await self._first_end(running)
        except Exception as error:  # A defect in a check must not leave the process unwatched.
            end = f"{type(error).__name__}: {error}"
        await running.destroy()
        # Only now: a stop that interrupts this still finds the process.
        self._process = None
        return Life(end, time.monotonic() - self._ready_at if self._ready_at else 0.0)

    async def _first_end(self, running: RunningProcess) -> str:
        """The process ended, or it has to be ended."""
        tasks = [asyncio.create_task(running.wait()), asyncio.create_task(self._watch(running.pid))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        return done.pop().result()

    async def _watch(self, pid: int) -> str:
        """Checks for as long as the unit answers; returns why it must be restarted."""
        timing = self._unit.timing
        began, failures, pause = time.monotonic(), 0, FIRST_CHECK_SECONDS
        answered = False
        while True:
            problem = await self._check(pid)
            if problem is None:
                answered, failures = True, 0
            else:
                failures += 1
                if answered and (problem.definite or failures >= timing.failures):
                    return f"check failed: {problem}"
                if not answered and time.monotonic() - began > timing.start_seconds:
                    return f"did not serve within {timing.start_seconds:.0f} s: {problem}"
            self._processes.bound_log()
            ready = self._board[self._unit.name].state is UnitState.READY
            pause = timing.check_seconds if ready else min(pause * CHECK_GROWTH, timing.check_seconds)
            await asyncio.sleep(pause)

    async def _check(self, pid: int) -> CheckFailed | None:
        """Asks once and notes the answer on the board."""
        seconds = self._unit.timing.check_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                health = await self._unit.check(pid)
        except CheckFailed as error:
            return error
        except TimeoutError:
            return CheckFailed(f"no answer within {seconds:.0f} s")
        except Exception as error:  # Whatever a client library raises, the unit did not answer.
            return CheckFailed(f"{type(error).__name__}: {error}")
        if health is Health.SERVING:
            self._ready_at = self._ready_at or time.monotonic()
            self._move(UnitState.READY, pid=pid)
        elif self._ready_at:
            self._move(UnitState.DEGRADED, pid=pid, message="answers, but does not serve")
        return None

    def _move(self, state: UnitState, *, pid: int | None = None, message: str = "") -> None:
        self._board.move(self._unit.name, state, pid=pid, message=message)

    def _progress(self, line: str) -> None:
        self._board.tell(self._unit.name, line)
