"""API keys: kept as hashes in one file, read again when it changes."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

SCOPES = ("read", "write", "operate")
PREFIX = "mk_"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who may do what. The key itself is not kept."""

    name: str
    sha256: str
    tenant: str
    scopes: tuple[str, ...]
    create_time_s: int


class ApiKeyFile:
    """The keys in one file. An absent or empty file: no key is required."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._keys: dict[str, ApiKey] = {}

    def find(self, key: str) -> ApiKey | None:
        """The record of a key; looked up by its hash, so that timing tells nothing about other keys."""
        self._refresh()
        return self._keys.get(_digest(key))

    def required(self) -> bool:
        """Whether there is any key."""
        self._refresh()
        return bool(self._keys)

    def all(self) -> list[ApiKey]:
        """All records by name."""
        self._refresh()
        return sorted(self._keys.values(), key=lambda key: key.name)

    def create(self, name: str, tenant: str, scopes: tuple[str, ...]) -> str:
        """Adds a key and returns it; it is shown this once. Raises ValueError for a name in use or an unknown scope."""
        if any(key.name == name for key in self.all()):
            raise ValueError(f"a key named {name!r} exists")
        if unknown := sorted(set(scopes) - set(SCOPES)):
            raise ValueError(f"unknown scopes {unknown}; there are {list(SCOPES)}")
        secret = PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(name, _digest(secret), tenant, scopes, int(time.time()))
        self._write([*self._keys.values(), key])
        return secret

    def revoke(self, name: str) -> None:
        """Removes a key. Raises ValueError for an unknown name."""
        left = [key for key in self.all() if key.name != name]
        if len(left) == len(self._keys):
            raise ValueError(f"no key is named {name!r}")
        self._write(left)

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._keys = None, {}
            return
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            records = json.loads(self._path.read_text() or "[]")
            keys = [ApiKey(**{**record, "scopes": tuple(record["scopes"])}) for record in records]
            self._stamp, self._keys = stamp, {key.sha256: key for key in keys}

    def _write(self, keys: list[ApiKey]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._path.with_suffix(".new")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump([asdict(key) for key in keys], file, indent=1)
        temporary.replace(self._path)
        self._refresh()


def _digest(key: str) -> str:
    # Keys are 256 random bits: a plain hash cannot be searched, a slow one would only cost time.
    return hashlib.sha256(key.encode()).hexdigest()
