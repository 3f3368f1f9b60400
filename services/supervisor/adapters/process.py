"""Child processes: a session each, tied to the supervisor's life, output to a bounded log."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable

from services.supervisor.adapters import launcher
from services.supervisor.adapters.logs import BoundedLog
from services.supervisor.domain import Command

LONGEST_LINE = 1024 * 1024


def _launch(command: Command) -> list[str]:
    owner = command.owner
    user = [str(owner.uid), str(owner.gid)] if owner else ["-", "-"]
    head = [sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), str(int(command.death_signal))]
    return [*head, *user, "--", *command.arguments]


class GroupProcess:
    """A started process and everything in its process group."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Also the id of the process group."""
        return self._process.pid

    async def wait(self) -> str:
        """Waits for the end and says how it came: ``exit status 1``, ``killed by SIGKILL``."""
        status = await self._process.wait()
        if status >= 0:
            return f"exit status {status}"
        return f"killed by {signal.Signals(-status).name}"

    async def stop(self, stop_signal: int, seconds: float) -> None:
        """Asks with ``stop_signal``, waits at most ``seconds``, then kills the whole group."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(stop_signal)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._process.wait()
        await self.destroy()

    async def destroy(self) -> None:
        """Kills what is left of the group and waits for the leader."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()


class LoggedProcesses:
    """Starts the processes of one unit with their output in its log.

    The thread that calls it must outlive them: the kernel's parent-death signal belongs to the thread that forked.
    """

    def __init__(self, log: BoundedLog) -> None:
        self._log = log

    async def start(self, command: Command) -> GroupProcess:
        """See ports.Processes, here and below."""
        with self._log.open() as output:
            process = await asyncio.create_subprocess_exec(
                *_launch(command),
                cwd=command.folder,
                env=dict(command.environment),
                stdin=DEVNULL,
                stdout=output,
                stderr=STDOUT,
                start_new_session=True,
            )
        return GroupProcess(process)

    async def run(self, command: Command, on_line: Callable[[str], None]) -> int:
        """Kills the command when the caller is cancelled."""
        source = os.open(command.stdin, os.O_RDONLY) if command.stdin else DEVNULL
        try:
            with self._log.open() as output:
                process = await asyncio.create_subprocess_exec(
                    *_launch(command),
                    cwd=command.folder,
                    env=dict(command.environment),
                    stdin=source,
                    stdout=PIPE,
                    stderr=output,
                    start_new_session=True,
                    limit=LONGEST_LINE,
                )
        finally:
            if command.stdin:
                os.close(source)
        try:
            await self._read_lines(process, on_line)
            return await process.wait()
        finally:
            if process.returncode is None:
                await GroupProcess(process).destroy()

    def note(self, line: str) -> None:
        """A line of our own in the log."""
        self._log.write(f"supervisor: {line}")

    def bound_log(self) -> None:
        """Keeps the log within its bound."""
        self._log.bound()

    async def _read_lines(self, process: Process, on_line: Callable[[str], None]) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            text = line.decode(errors="replace").rstrip()
            self._log.write(text)
            on_line(text)
