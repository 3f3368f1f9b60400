"""What limits need from outside. All methods raise psycopg.OperationalError while the store is away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.gateway.limits.quota import Override


@dataclass(frozen=True, slots=True)
class Lease:
    """What one gateway asks of one bucket."""

    scope: str
    per_second: float
    burst: float
    wanted: float
    """Tokens asked for; fewer may be given."""
    returned: float = 0.0
    """Tokens of an earlier lease that were not used."""


class BucketStore(Protocol):
    """Token buckets shared by all gateways; the store's clock counts."""

    async def lease(self, leases: Sequence[Lease]) -> Mapping[str, float]:
        """Tokens given by scope, 0 where there are none. A bucket that is not known yet is full."""

    async def forget(self, idle_seconds: float) -> None:
        """Deletes buckets that nobody used for so long; they would be full."""


class OverrideStore(Protocol):
    """Exceptions from the configured quotas."""

    async def all(self) -> Mapping[tuple[str, str], Override]:
        """By tenant and actor; actor empty: the whole tenant."""

    async def put(self, tenant: str, actor: str, override: Override) -> None:
        """Stores one, in place of an earlier one."""

    async def remove(self, tenant: str, actor: str) -> bool:
        """Whether there was one."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write that its caller named by a key."""

    tenant: str
    actor: str
    method: str
    key: str
    sha256: bytes
    """Of the request."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of an earlier write with the same key; answer None: it is being done."""

    sha256: bytes
    answer: bytes | None


class AnswerStore(Protocol):
    """First answers by tenant, caller, method and key."""

    async def claim(self, write: Write, claim: str, seconds: float, keep_seconds: float) -> Kept | None:
        """Claims a key for some seconds; None: it is ours. Otherwise what is known of the earlier write.

        A key that was claimed longer ago than its claimant said may be claimed again for the same request, and a key
        whose answer is older than ``keep_seconds`` for any.
        """

    async def keep(self, write: Write, claim: str, answer: bytes) -> None:
        """Stores the answer, unless the claim went to somebody else."""

    async def release(self, write: Write, claim: str) -> None:
        """Ends a claim without an answer."""

    async def forget(self, keep_seconds: float) -> None:
        """Deletes what is older."""
