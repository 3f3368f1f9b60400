"""The data folder: its layout, the lock that keeps a second supervisor out, and small files in it."""

import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from services.supervisor.errors import DataFolderLocked, SupervisorError


class DataFolder:
    """Paths below the data folder. ``with`` creates it and holds its lock."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.run = self.root / "run"
        self.logs = self.root / "logs"
        self._lock: int | None = None

    def __enter__(self) -> Self:
        """Raises DataFolderLocked, naming the holder's process id, and SupervisorError when it cannot be written."""
        try:
            for folder in (self.root, self.run, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise SupervisorError(f"data folder {self.root}: {error.strerror} ({error.filename})") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise DataFolderLocked(f"{self.root} is in use by another run (process {holder})") from None
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._lock = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def secret(self, name: str) -> str:
        """A random password made on first use and kept in ``run/<name>``, readable by its owner only."""
        path = self.run / name
        if not path.exists():
            write_atomically(path, secrets.token_urlsafe(24), mode=0o600)
        return path.read_text().strip()

    def note_environment(self, environment: Mapping[str, str]) -> None:
        """Writes ``run/environment``: addresses and keys in the form of an env file, readable by its owner only."""
        lines = (f"{key}={value}\n" for key, value in sorted(environment.items()))
        write_atomically(self.run / "environment", "".join(lines), mode=0o600)


def read_environment(root: Path) -> dict[str, str]:
    """What `note_environment` wrote last. Raises SupervisorError when nothing ran on the folder."""
    try:
        lines = (root / "run" / "environment").read_text().splitlines()
    except OSError as error:
        raise SupervisorError(f"no suite has run on {root}: {error.strerror}") from error
    return dict(line.split("=", 1) for line in lines if "=" in line)


def lock_holder(root: Path) -> int | None:
    """The process id that holds the data folder now, None when nobody does."""
    try:
        descriptor = os.open(root / "run" / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32).decode(errors="replace").strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(descriptor)
    return None


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """A reader sees the old text or the new one, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty when there is none or it is not one."""
    try:
        value = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
