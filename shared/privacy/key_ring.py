"""Keys of personal data: one for hashes of ids, and numbered ones that seal content.

A file (`<data>/keys/personal.json`, or a mounted secret) holds them:
`{"index": "<hex>", "current": 2, "keys": {"1": "<hex>", "2": "<hex>"}}`. New content is sealed by the current key,
older keys open what they sealed until it is sealed anew. A key that was removed makes everything it sealed unreadable
wherever a copy lies: in dead rows, logs and backups.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = b"\x01"
KEY_BYTES, NONCE_BYTES, NUMBER_BYTES, HASH_BYTES = 32, 12, 4, 16
_HEAD = len(VERSION) + NUMBER_BYTES


class Unsealable(Exception):
    """Sealed content that cannot be opened: its key is gone, or it was changed. Says neither content nor key."""


@dataclass(frozen=True, slots=True)
class _Keys:
    index: bytes = field(repr=False)
    current: int
    ciphers: Mapping[int, AESGCM] = field(repr=False)


class KeyRing:
    """The keys of one file, read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = (0, 0)
        if not path.exists():
            _create(path)
        self._keys = self._read()

    @property
    def current(self) -> int:
        """Number of the key that seals."""
        return self._keys.current

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of all keys."""
        return tuple(sorted(self._keys.ciphers))

    @property
    def changed_s(self) -> float:
        """When the file changed last, seconds since 1970."""
        return self._stamp[0] / 1e9

    def hash(self, tenant: str, kind: str, value: str) -> bytes:
        """A keyed hash of an id, 16 bytes: the same in every call, another one in another tenant."""
        return hmac.digest(self._keys.index, f"{tenant}\0{kind}\0{value}".encode(), hashlib.sha256)[:HASH_BYTES]

    def seal(self, content: bytes, bound_to: bytes) -> bytes:
        """AES-256-GCM: version, key number, nonce, ciphertext with tag. Opens only where it is bound to."""
        keys = self._keys
        nonce = os.urandom(NONCE_BYTES)
        head = VERSION + keys.current.to_bytes(NUMBER_BYTES, "big")
        return head + nonce + keys.ciphers[keys.current].encrypt(nonce, content, head + bound_to)

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """The content. Raises Unsealable."""
        head, nonce = sealed[:_HEAD], sealed[_HEAD : _HEAD + NONCE_BYTES]
        cipher = self._cipher(self.number_of(sealed))
        try:
            return cipher.decrypt(nonce, sealed[_HEAD + NONCE_BYTES :], head + bound_to)
        except (InvalidTag, ValueError):
            raise Unsealable("sealed content was changed, or stands in another place than it was sealed for") from None

    @staticmethod
    def number_of(sealed: bytes) -> int:
        """Number of the key that sealed something. Raises Unsealable."""
        if sealed[: len(VERSION)] != VERSION:
            raise Unsealable("sealed by another version")
        return int.from_bytes(sealed[len(VERSION) : _HEAD], "big")

    def refresh(self) -> None:
        """Reads the file again if it changed."""
        status = self._path.stat()
        if (status.st_mtime_ns, status.st_ino) != self._stamp:
            self._keys = self._read()

    def add_key(self) -> int:
        """Makes a new current key; what was sealed before stays readable. Returns its number."""
        with self._changing() as content:
            number = max(map(int, content["keys"])) + 1
            content["keys"][str(number)] = secrets.token_hex(KEY_BYTES)
            content["current"] = number
        return number

    def destroy_keys_before(self, number: int) -> list[int]:
        """Removes older keys: what they sealed is unreadable from now on. Returns their numbers."""
        with self._changing() as content:
            gone = [int(key) for key in content["keys"] if int(key) < min(number, content["current"])]
            for key in gone:
                del content["keys"][str(key)]
        return sorted(gone)

    def _cipher(self, number: int) -> AESGCM:
        if number not in self._keys.ciphers:
            self.refresh()
        try:
            return self._keys.ciphers[number]
        except KeyError:
            raise Unsealable(f"key {number} is not in the ring") from None

    def _read(self) -> _Keys:
        status = self._path.stat()
        content = json.loads(self._path.read_text(encoding="utf-8"))
        self._stamp = (status.st_mtime_ns, status.st_ino)
        ciphers = {int(number): AESGCM(bytes.fromhex(key)) for number, key in content["keys"].items()}
        if content["current"] not in ciphers:
            raise ValueError(f"{self._path}: the current key {content['current']} is missing")
        return _Keys(bytes.fromhex(content["index"]), content["current"], ciphers)

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        with (self._path.parent / f".{self._path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            content = json.loads(self._path.read_text(encoding="utf-8"))
            yield content
            _write(self._path, content, replace=True)
        self._keys = self._read()


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = {"index": secrets.token_hex(KEY_BYTES), "current": 1, "keys": {"1": secrets.token_hex(KEY_BYTES)}}
    _write(path, content, replace=False)


def _write(path: Path, content: Mapping[str, object], *, replace: bool) -> None:
    """Whole or not at all, readable by its owner alone; without `replace` whoever was first has written it."""
    draft = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    try:
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)
