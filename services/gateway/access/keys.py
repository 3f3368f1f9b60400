"""API keys and their secrets."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

PREFIX = "mk_"
"""Begins every secret, so that scanners find leaked ones and tokens are told apart."""
LONGEST_SECRET = 128


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key. `None` times: never."""

    key_id: str
    number: int
    tenant: str
    name: str
    scopes: tuple[str, ...]
    create_time: datetime
    created_by: str
    expire_time: datetime | None
    revoke_time: datetime | None
    last_used_time: datetime | None
    secret_count: int


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be stored."""

    tenant: str
    name: str
    scopes: tuple[str, ...]
    created_by: str
    lifetime_seconds: float | None = None
    """From now; None: until it is revoked."""


@dataclass(frozen=True, slots=True)
class KnownSecret:
    """A secret that opens a key now."""

    sha256: bytes
    key_id: str
    tenant: str
    scopes: tuple[str, ...]
    ends_s: float | None
    """Seconds since the epoch at which key or secret expires, whichever comes first; None: never."""


@dataclass(frozen=True, slots=True)
class KeySnapshot:
    """All secrets that are valid."""

    change_number: int
    any_key: bool
    """Whether there was ever a key, revoked ones included: the check is not turned off by revoking the last."""
    secrets: Sequence[KnownSecret]


def new_secret() -> str:
    """256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def new_key_id() -> str:
    """48 random bits."""
    return "k-" + secrets.token_hex(6)


def digest(secret: str) -> bytes:
    """What is stored. Secrets are 256 random bits: a plain hash cannot be searched, a slow one would only cost time."""
    return hashlib.sha256(secret.encode()).digest()
