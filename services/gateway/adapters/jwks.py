"""The public keys of a token issuer by HTTP: a JSON Web Key Set (RFC 7517)."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

import jwt

from services.gateway.access.ports import TokenKeys
from shared.errors.base import Unavailable
from shared.telemetry.logs import logger
from shared.telemetry.metrics import counter

FETCHES = counter("gateway_token_key_fetches_total", "Reads of the token issuer's keys.", ("outcome",))
LARGEST_ANSWER = 1 << 20
MOST_KEYS = 100
KINDS = frozenset({"RSA", "EC", "OKP"})
"""Types of public keys. A symmetric key in a set, which anybody can read, is passed over."""

_log = logger("tokens")


@dataclass(frozen=True, slots=True)
class JwksTimes:
    """When keys are read."""

    fresh_seconds: float = 300.0
    """After this the keys are read again: the longest life of a key that the issuer took back."""
    least_seconds: float = 10.0
    """Pause between two reads, whatever key ids callers make up."""
    stale_seconds: float = 3600.0
    """How long keys are trusted while the issuer does not answer."""
    timeout_seconds: float = 5.0


class JwksKeys(TokenKeys):
    """Keeps the keys in memory. A valid token with a known key never waits for the issuer."""

    def __init__(self, url: str, times: JwksTimes, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._times = times
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reading = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        if self._age() >= self._times.stale_seconds or key_id not in self._keys:
            await self._read()
        elif self._age() >= self._times.fresh_seconds and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.create_task(self._read())
        if self._age() >= self._times.stale_seconds:
            raise Unavailable("token issuer")
        return self._keys.get(key_id)

    def _age(self) -> float:
        return float("inf") if self._read_at is None else self._clock() - self._read_at

    async def _read(self) -> None:
        """Reads the keys, unless that was tried a moment ago. Callers that come meanwhile wait for the one read."""
        async with self._reading:
            now = self._clock()
            if self._tried_at is not None and now - self._tried_at < self._times.least_seconds:
                return
            self._tried_at = now
            try:
                keys = keys_of(await asyncio.to_thread(self._fetch))
            except (OSError, HTTPException, ValueError, RecursionError) as error:
                FETCHES.labels("failed").inc()
                _log.warning("the token issuer's keys cannot be read", error=f"{type(error).__name__}: {error}"[:200])
                return
            FETCHES.labels("read").inc()
            self._keys, self._read_at = keys, now

    def _fetch(self) -> bytes:
        with _OPENER.open(self._url, timeout=self._times.timeout_seconds) as response:
            body: bytes = response.read(LARGEST_ANSWER + 1)
        if len(body) > LARGEST_ANSWER:
            raise ValueError(f"the answer is larger than {LARGEST_ANSWER} bytes")
        return body


def keys_of(body: bytes) -> dict[str, jwt.PyJWK]:
    """The usable keys of a set, by id. Raises ValueError when it is none."""
    document = json.loads(body)
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("not a JSON Web Key Set")
    found: dict[str, jwt.PyJWK] = {}
    for entry in entries[:MOST_KEYS]:
        if _usable(entry):
            try:
                found[entry["kid"]] = jwt.PyJWK.from_dict(entry)
            except (jwt.PyJWTError, ValueError, TypeError, KeyError):
                _log.warning("a key of the token issuer cannot be used")
    return found


def _usable(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.get("kty") in KINDS
        and entry.get("use", "sig") == "sig"
        and isinstance(entry.get("kid"), str)
    )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The address is configured; an answer that leads elsewhere is an error."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)
