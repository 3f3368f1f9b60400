"""The log of a unit: one file and one older file, each of at most a given size."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class BoundedLog:
    """``<folder>/<unit>.log``, appended by the process itself; its old half is moved to ``<unit>.log.1``."""

    def __init__(self, path: Path, *, limit_bytes: int = 16 * 1024 * 1024) -> None:
        self.path = path
        self._limit = limit_bytes

    @contextmanager
    def open(self) -> Iterator[int]:
        """A file descriptor in append mode, so that a truncated file goes on from its new end."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def write(self, line: str) -> None:
        """Appends one line; on a full disk it is lost, and nothing else."""
        with suppress(OSError), self.open() as descriptor:
            os.write(descriptor, line.encode() + b"\n")

    def bound(self) -> None:
        """Copies the file aside and truncates it once it is over the limit; the writer keeps its descriptor."""
        older = self.path.with_name(self.path.name + ".1")
        try:
            if self.path.stat().st_size <= self._limit:
                return
        except FileNotFoundError:
            return
        with suppress(OSError):  # no room for a copy: what is older goes
            shutil.copyfile(self.path, older)
        os.truncate(self.path, 0)

    def tail(self, lines: int = 5) -> list[str]:
        """The last lines, empty when there is no log yet."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, self.path.stat().st_size - 8192))
                return file.read().decode(errors="replace").splitlines()[-lines:]
        except FileNotFoundError:
            return []
