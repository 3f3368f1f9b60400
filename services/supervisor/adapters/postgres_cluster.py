"""A PostgreSQL data directory: made once, cleared of the traces of a killed server.

Every program gets its data directory as ``/proc/self/cwd``: the folder was entered before the user changed, so
the system user needs no permission on the folders above it (a data folder below /root works).
"""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from services.supervisor.domain import Command, Owner
from services.supervisor.errors import PrepareFailed, Unrecoverable
from services.supervisor.ports import CommandRunner

HERE = "/proc/self/cwd"
USER = DATABASE = "mercato"
MAJOR = "18"
LEFTOVER_SECONDS = 10.0


def environment() -> dict[str, str]:
    """For the server's programs: nothing of the caller's PG* variables, English messages."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


class PostgresCluster:
    """The folder ``folder`` as a data directory owned by ``owner``."""

    def __init__(self, folder: Path, owner: Owner | None, programs: Path) -> None:
        self._folder = folder
        self._owner = owner
        self._programs = programs

    async def ensure(self, password: str, run: CommandRunner, on_line: Callable[[str], None]) -> None:
        """Makes the directory and the database if there is none yet. Raises PrepareFailed, Unrecoverable."""
        version = self._folder / "PG_VERSION"
        if version.exists():
            found = version.read_text().strip()
            if found != MAJOR:
                raise Unrecoverable(
                    f"{self._folder} was written by PostgreSQL {found}, this is {MAJOR}: "
                    "move it with pg_upgrade or pg_dump"
                )
            return
        on_line("creating the database")
        draft = self._folder.with_name(self._folder.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True, mode=0o700)
        if self._owner:
            os.chown(draft, self._owner.uid, self._owner.gid)
        await self._initialise(draft, password, run)
        draft.rename(self._folder)

    async def _initialise(self, draft: Path, password: str, run: CommandRunner) -> None:
        initdb = ["-D", HERE, "-U", USER, "--pwfile=/dev/stdin", "--auth=scram-sha-256", "--encoding=UTF8"]
        locale = ["--locale-provider=builtin", "--locale=C.UTF-8"]
        single = ["--single", "-D", HERE, "postgres"]
        for program, arguments, text in (
            ("initdb", [*initdb, *locale], password + "\n"),
            ("postgres", single, f"CREATE DATABASE {DATABASE}\n"),
        ):
            with self._readable(text) as stdin:
                command = self.command(program, arguments, folder=draft, stdin=stdin)
                status = await run(command, lambda line: None)
            if status != 0:
                raise PrepareFailed(f"{program} ended with exit status {status}")

    @contextmanager
    def _readable(self, text: str) -> Iterator[Path]:
        """A short-lived file for the standard input of a program that reopens it as ``owner``."""
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            if self._owner:
                os.fchown(file.fileno(), self._owner.uid, self._owner.gid)
            yield Path(file.name)

    def command(
        self, program: str, arguments: list[str], *, folder: Path | None = None, stdin: Path | None = None
    ) -> Command:
        """A program of PostgreSQL run in the data directory as its owner."""
        return Command(
            arguments=(str(self._programs / program), *arguments),
            environment=environment(),
            folder=folder or self._folder,
            owner=self._owner,
            # Immediate shutdown: the server ends its children itself.
            death_signal=signal.SIGQUIT,
            stdin=stdin,
        )

    async def clear_leftovers(self) -> None:
        """Waits for the children of a killed server, then removes its ``postmaster.pid``.

        The file alone would refuse the start for ever if its process id now belongs to another process. Nobody
        else may use the folder: the supervisor holds its lock.
        """
        deadline = asyncio.get_running_loop().time() + LEFTOVER_SECONDS
        while left := self._inside():
            if asyncio.get_running_loop().time() > deadline:
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.05)
        (self._folder / "postmaster.pid").unlink(missing_ok=True)

    def _inside(self) -> list[int]:
        """Processes of PostgreSQL that work in the data directory."""
        home = self._folder.stat()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    place = (entry / "cwd").stat()
                    program = (entry / "exe").readlink().name.removesuffix(" (deleted)")
                    if (place.st_dev, place.st_ino) == (home.st_dev, home.st_ino) and program == "postgres":
                        found.append(int(entry.name))
        return found
