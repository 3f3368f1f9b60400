"""What access control needs from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import jwt

from services.gateway.access.keys import ApiKey, KeySnapshot, NewKey


class KeyStore(Protocol):
    """Keys, shared by all gateways. Every method raises psycopg.OperationalError while the store is away."""

    async def change_number(self) -> int:
        """Grows with every change of keys."""

    async def load(self) -> KeySnapshot:
        """All valid secrets of all tenants."""

    async def create(self, key: NewKey, sha256: bytes) -> ApiKey:
        """Stores a key with one secret. Raises AlreadyExists for a name in use."""

    async def get(self, tenant: str, key_id: str) -> ApiKey | None:
        """One key, ended ones included."""

    async def list(self, tenant: str, before: int | None, limit: int, *, ended: bool) -> Sequence[ApiKey]:
        """Keys with a number below ``before``, newest first; with ``ended`` also revoked and expired ones."""

    async def rotate(
        self, tenant: str, key_id: str, sha256: bytes, overlap_seconds: float
    ) -> tuple[ApiKey, datetime] | None:
        """Adds a secret; the latest of before ends after the overlap, older ones now. None: no such valid key.

        Returns the key, and when the secret of before ends.
        """

    async def revoke(self, tenant: str, key_id: str) -> ApiKey | None:
        """Ends a key; keeps the time of an earlier end. None: no such key."""

    async def note_used(self, times_s: Mapping[str, float]) -> None:
        """When keys were used last, in seconds since the epoch; earlier than what is stored changes nothing."""

    async def adopt(self, key: NewKey, sha256: bytes) -> bool:
        """Takes a key of an earlier release's file over, unless its secret was ever stored; whether it was taken."""


MACHINE = "machine"
"""Actor and peer of acts by a command on the gateway's machine."""


@dataclass(frozen=True, slots=True)
class Act:
    """The beginning of an administrative act."""

    tenant: str
    actor: str
    action: str
    peer: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an act."""

    event_number: int
    end_s: float
    """Seconds since the epoch."""
    outcome: str
    target: str


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """An act with its end, where it has one."""

    number: int
    begin_time: datetime
    end_time: datetime | None
    act: Act
    target: str
    outcome: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which acts are listed; empty and None: all."""

    actor: str = ""
    action: str = ""
    start: datetime | None = None
    end: datetime | None = None


class AuditStore(Protocol):
    """The append-only log. Every method raises psycopg.OperationalError while the store is away."""

    async def begin(self, act: Act) -> int:
        """Commits the beginning; returns its number."""

    async def end(self, outcomes: Sequence[Outcome]) -> None:
        """Commits ends; one that is stored already stays as it is."""

    async def list(self, tenant: str, wanted: AuditFilter, before: int | None, limit: int) -> Sequence[AuditEvent]:
        """Acts with a number below ``before``, newest first."""


class TokenKeys(Protocol):
    """The public keys of a token issuer."""

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """The key with this id; None: the issuer publishes none. Raises Unavailable when none could ever be read."""
