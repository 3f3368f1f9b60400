"""Services: restarted when dead or hung, left alone when they only say that they do not serve."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typing_extensions import override

from services.supervisor.adapters.grpc_service import GrpcServiceUnit
from services.supervisor.adapters.logs import BoundedLog
from services.supervisor.adapters.process import LoggedProcesses
from services.supervisor.adapters.tcp_ports import PortBook
from services.supervisor.backoff import Backoff
from services.supervisor.board import StatusBoard
from services.supervisor.domain import Command, Timing, UnitState
from services.supervisor.errors import Unrecoverable
from services.supervisor.supervise import UnitSupervisor

SERVER = Path(__file__).with_name("health_server.py")


class HealthUnit(GrpcServiceUnit):
    """The real unit with another program, and hung after a second."""

    def __init__(self, folder: Path, port: int, program: tuple[str, ...] | None = None) -> None:
        super().__init__("catalog", f"127.0.0.1:{port}", (), {})
        self.health = folder / "health"
        self.health.write_text("SERVING")
        self._folder = folder
        self._program = program or (sys.executable, str(SERVER), str(port), str(self.health))

    @property
    @override
    def timing(self) -> Timing:
        return Timing(start_seconds=30, check_seconds=0.2, check_timeout_seconds=1, failures=2, stop_seconds=1)

    @override
    def command(self) -> Command:
        return Command(arguments=self._program, environment=dict(os.environ), folder=self._folder)


class Running:
    def __init__(self, unit: HealthUnit, folder: Path) -> None:
        self.unit = unit
        self.board = StatusBoard(folder)
        self.board.add(unit.name, unit.address, UnitState.WAITING)
        self.log = BoundedLog(folder / "catalog.log")
        self.supervisor = UnitSupervisor(unit, self.board, LoggedProcesses(self.log), Backoff(first_seconds=0.05))

    async def reach(self, *states: UnitState) -> int:
        """Waits for one of the states and returns the process id."""
        await asyncio.wait_for(self.board.until(lambda: self.board["catalog"].state in states), 30)
        return self.board["catalog"].pid or 0


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    made = Running(HealthUnit(tmp_path, PortBook(tmp_path / "ports.json").choose("catalog")), tmp_path)
    made.supervisor.start()
    yield made
    await made.supervisor.stop()


async def test_a_killed_service_comes_back(running: Running) -> None:
    first = await running.reach(UnitState.READY)
    os.kill(first, signal.SIGKILL)
    await running.reach(UnitState.BACKOFF)
    assert "SIGKILL" in running.board["catalog"].message
    second = await running.reach(UnitState.READY)
    assert second != first
    assert running.board["catalog"].restarts == 1


async def test_not_serving_is_no_reason_to_restart(running: Running) -> None:
    first = await running.reach(UnitState.READY)
    running.unit.health.write_text("NOT_SERVING")
    await running.reach(UnitState.DEGRADED)
    running.unit.health.write_text("SERVING")
    assert await running.reach(UnitState.READY) == first
    assert running.board["catalog"].restarts == 0


async def test_a_hung_service_is_replaced(running: Running) -> None:
    first = await running.reach(UnitState.READY)
    os.kill(first, signal.SIGSTOP)
    await running.reach(UnitState.BACKOFF)
    assert "no answer" in running.board["catalog"].message
    assert await running.reach(UnitState.READY) != first
    assert not Path(f"/proc/{first}").exists()


async def test_a_process_that_ignores_the_stop_signal_is_killed_with_its_group(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 600 & echo $! > child; touch started; while true; do sleep 1; done"
    made = Running(HealthUnit(tmp_path, 1, ("/bin/sh", "-c", script)), tmp_path)
    made.supervisor.start()
    pid = await made.reach(UnitState.STARTING)
    child = tmp_path / "child"
    async with asyncio.timeout(10):
        while not (tmp_path / "started").exists():
            await asyncio.sleep(0.02)
    await made.supervisor.stop()
    assert made.board["catalog"].state is UnitState.STOPPED
    assert not Path(f"/proc/{pid}").exists()
    async with asyncio.timeout(10):
        while alive(int(child.read_text())):
            await asyncio.sleep(0.02)


async def test_a_program_that_ends_at_once_is_tried_less_and_less_often(tmp_path: Path) -> None:
    made = Running(HealthUnit(tmp_path, 1, ("/bin/sh", "-c", "echo broken; exit 3")), tmp_path)
    made.supervisor.start()
    await asyncio.wait_for(made.board.until(lambda: made.board["catalog"].failures >= 3), 30)
    await made.reach(UnitState.BACKOFF)
    assert "exit status 3" in made.board["catalog"].message
    await made.supervisor.stop()
    assert made.log.tail(50).count("broken") >= 3


async def test_what_a_person_must_mend_is_not_tried_again(tmp_path: Path) -> None:
    class Broken(HealthUnit):
        @override
        async def prepare(self, run: object, on_line: object) -> None:
            raise Unrecoverable("no library")

    made = Running(Broken(tmp_path, 1), tmp_path)
    made.supervisor.start()
    await made.reach(UnitState.FAILED)
    await made.supervisor.stop()
    assert made.board["catalog"].message == "no library"
    assert made.board["catalog"].state is UnitState.FAILED


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
