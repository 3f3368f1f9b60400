"""What the supervisor asks of the things it runs."""

from collections.abc import Callable
from typing import Protocol

from services.supervisor.domain import Command, Health, Need, Timing


class CommandRunner(Protocol):
    """Runs a short command to its end on behalf of a unit."""

    async def __call__(self, command: Command, on_line: Callable[[str], None]) -> int:
        """Returns the exit status; hands each line of output to ``on_line`` and to the unit's log."""


class RunningProcess(Protocol):
    """A started process and everything in its process group."""

    @property
    def pid(self) -> int:
        """Also the id of the process group."""

    async def wait(self) -> str:
        """Waits for the end and says how it came: ``exit status 1``, ``killed by SIGKILL``."""

    async def stop(self, stop_signal: int, seconds: float) -> None:
        """Asks with ``stop_signal``, waits at most ``seconds``, then kills the whole group."""

    async def destroy(self) -> None:
        """Kills what is left of the group; returns when the process has ended."""


class Processes(Protocol):
    """Starts the processes of one unit; their output goes to its log."""

    async def start(self, command: Command) -> RunningProcess:
        """Starts a process that does not outlive the supervisor. Raises OSError."""

    async def run(self, command: Command, on_line: Callable[[str], None]) -> int:
        """A CommandRunner: lines of standard output are handed on as progress."""

    def note(self, line: str) -> None:
        """Writes a line of the supervisor's own into the log."""

    def bound_log(self) -> None:
        """Moves the log aside once it is too long."""


class Unit(Protocol):
    """A process that is started, checked, restarted and stopped. Its port stays the same over restarts."""

    @property
    def name(self) -> str:
        """Unique in the suite; also the name of its log."""

    @property
    def address(self) -> str:
        """``host:port`` at which it serves."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """The units that come first."""

    @property
    def timing(self) -> Timing:
        """When it counts as hung and how long it may take to stop."""

    @property
    def stop_signal(self) -> int:
        """Asks the process to end; SIGKILL follows for the whole process group."""

    async def prepare(self, run: CommandRunner, on_line: Callable[[str], None]) -> None:
        """Brings everything in place; called before every start, so it is quick when nothing is to do.

        Raises PrepareFailed (tried again) or Unrecoverable (not tried again).
        """

    def command(self) -> Command:
        """The process to start; called after ``prepare``."""

    async def check(self, pid: int) -> Health:
        """Asks the running process. Raises CheckFailed when it gives no usable answer."""

    async def close(self) -> None:
        """Frees what checks hold open."""
