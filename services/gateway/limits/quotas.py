"""Charges calls to the quotas of their caller and of its tenant."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from services.gateway.limits.leases import Leases
from services.gateway.limits.ports import OverrideStore
from services.gateway.limits.quota import Override, Quota
from shared.errors.base import ResourceExhausted
from shared.telemetry.logs import logger
from shared.telemetry.metrics import counter

_log = logger("quotas")
_refused = counter("gateway_quota_refusals_total", "Calls refused by a quota.", ["scope", "limit"])
_LONGEST_PAUSE_SECONDS = 30.0
_AT_ONCE_RETRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Defaults:
    """Quotas where nothing else is stored."""

    tenant: Quota
    caller: Quota


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose quotas a call is charged to."""

    tenant: str
    actor: str
    """Empty: only the tenant's."""


class Quotas:
    """Knows the quota of every caller; `follow` and the leases' `run` must run beside."""

    def __init__(self, leases: Leases, overrides: OverrideStore, defaults: Defaults, poll_seconds: float) -> None:
        self._leases = leases
        self._store = overrides
        self._defaults = defaults
        self._poll_seconds = poll_seconds
        self._overrides: Mapping[tuple[str, str], Override] = {}
        self._running: Counter[str] = Counter()

    async def follow(self) -> None:
        """Reads overrides until cancelled; while the store is away those read last count."""
        away = False
        while True:
            try:
                self._overrides = await self._store.all()
                away = False
            except Exception as error:  # whatever the store raises, it is asked again
                if not away:
                    _log.warning("quotas cannot be read", error=type(error).__name__)
                away = True
            await asyncio.sleep(self._poll_seconds)

    async def charge(self, payer: Payer, cost: float) -> None:
        """Takes ``cost`` tokens from both quotas, or none. Raises ResourceExhausted, reason RATE_LIMITED."""
        wait, refused = await self._take(payer, cost)
        if refused:
            raise _exhausted(refused[0], refused[1], self._leases.held(refused[2]), wait)

    async def wait(self, payer: Payer, cost: float) -> None:
        """Likewise for a part of a stream: waits for the tokens, at most half a minute."""
        left = _LONGEST_PAUSE_SECONDS
        while True:
            wait, refused = await self._take(payer, cost)
            if not refused:
                return
            if wait > left:
                raise _exhausted(refused[0], refused[1], self._leases.held(refused[2]), wait)
            left -= wait
            await asyncio.sleep(wait)

    def add(self, payer: Payer, cost: float) -> None:
        """Takes tokens for what came with a call that was let in already."""
        if cost:
            for _, _, bucket in self._quotas(payer):
                self._leases.charge(bucket, cost)

    @contextmanager
    def running(self, payer: Payer) -> Iterator[None]:
        """Counts a call while it runs. Raises ResourceExhausted when too many do."""
        quotas = [(scope, quota.at_once, bucket) for scope, quota, bucket in self._all(payer) if quota.at_once]
        for scope, at_once, bucket in quotas:
            if self._running[bucket] >= at_once:
                _refused.labels(scope, "at_once").inc()
                raise ResourceExhausted(
                    f"more than {at_once} calls at once for this {scope}",
                    retry_after_seconds=_AT_ONCE_RETRY_SECONDS,
                    metadata={"limit": str(at_once), "remaining": "0", "scope": scope, "quota": "at_once"},
                )
        for _, _, bucket in quotas:
            self._running[bucket] += 1
        try:
            yield
        finally:
            for _, _, bucket in quotas:
                self._running[bucket] -= 1
                if not self._running[bucket]:
                    del self._running[bucket]

    async def _take(self, payer: Payer, cost: float) -> tuple[float, tuple[str, Quota, str] | None]:
        """Seconds to wait and the quota that refuses; 0 and None when all was taken."""
        taken: list[str] = []
        for scope, quota, bucket in self._quotas(payer):
            wait = await self._leases.take(bucket, quota, cost)
            if wait:
                for earlier in taken:
                    self._leases.charge(earlier, -cost)
                _refused.labels(scope, "per_second").inc()
                return wait, (scope, quota, bucket)
            taken.append(bucket)
        return 0.0, None

    def _quotas(self, payer: Payer) -> list[tuple[str, Quota, str]]:
        return [part for part in self._all(payer) if part[1].per_second > 0]

    def _all(self, payer: Payer) -> list[tuple[str, Quota, str]]:
        """Scope, quota and bucket, the narrower first."""
        of_tenant = self._overrides.get((payer.tenant, ""))
        found = [("tenant", self._defaults.tenant.overridden(of_tenant), f"t/{payer.tenant}")]
        if payer.actor:
            of_caller = self._overrides.get((payer.tenant, payer.actor))
            caller = self._defaults.caller.overridden(of_caller)
            found.insert(0, ("caller", caller, f"c/{payer.tenant}/{payer.actor}"))
        return found


def _exhausted(scope: str, quota: Quota, remaining: float, wait: float) -> ResourceExhausted:
    return ResourceExhausted(
        f"the {scope}'s quota of {quota.per_second:g} a second is used up",
        retry_after_seconds=wait,
        metadata={
            "limit": f"{quota.per_second:g}",
            "remaining": f"{remaining:.0f}",
            "scope": scope,
            "quota": "per_second",
        },
    )
