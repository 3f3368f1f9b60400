"""How the gateway is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """When a call with one answer is made again: the gateway was not reached, or said that it has too much to do."""

    attempts: int = 4
    """In all, the first one included; 1 repeats nothing."""
    first_pause_seconds: float = 0.1
    """Doubled for each attempt; the gateway's own delay (``RetryInfo``) goes before it."""
    longest_pause_seconds: float = 5.0
    spread: float = 0.25
    """Share of a pause added by chance, so that many callers do not come back at once."""
    budget: float = 10.0
    """Attempts that may be owed at most: each call earns ``earned``, each repetition costs one."""
    earned: float = 0.2


@dataclass(frozen=True, kw_only=True)
class Options:
    """Who calls, over what, and for how long."""

    tenant: str = ""
    """Empty: the key's or token's own, else ``default``."""
    api_key: str = field(default="", repr=False)
    token: Callable[[], str] | None = field(default=None, repr=False)
    """Gives a JSON Web Token for each call; keep it in memory and renew it before it ends."""
    tls: bool = False
    """Whether the gateway is reached over TLS."""
    ca: bytes | None = field(default=None, repr=False)
    """PEM of the issuers of the gateway's certificate; None: those of this machine."""
    deadline_seconds: float = 10.0
    """For calls with one answer that are given no ``timeout``; repetitions included."""
    retry: RetryPolicy = RetryPolicy()
    max_message_bytes: int = 16 * 1024 * 1024
