"""Token buckets that hold across gateways: each gateway leases a tenth of a second's tokens at a time.

The bucket in the database is the only source, so all gateways together never give out more than burst + rate x time;
tokens that a gateway holds and does not use are given back after a second, so what is given out falls short of that by
at most a tenth of a second's tokens a gateway. While the database is away each gateway goes on with the rate that it
was given lately.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from services.gateway.limits.ports import BucketStore, Lease
from services.gateway.limits.quota import Quota
from shared.context.waiting import happens
from shared.telemetry.logs import logger
from shared.telemetry.metrics import counter, gauge

LEASE_SECONDS = 0.1
"""How much is leased ahead."""
LEAST_PAUSE_SECONDS = 0.05
"""An empty bucket is not asked more often."""
IDLE_SECONDS = 1.0
RECENT_SECONDS = 10.0
_STORE_SECONDS = 0.5
_AWAY_SECONDS = 1.0
_LEAST_SHARE = 0.1
_FORGET_EVERY_SECONDS = 600.0

_log = logger("quotas")
_leases = counter("gateway_quota_leases_total", "Requests for tokens to the database.", ["outcome"])
_away = gauge("gateway_quota_local", "1 while the database is away and gateways use their last share of quotas.")


@dataclass(slots=True)
class _Share:
    """What this gateway holds of one bucket."""

    quota: Quota
    tokens: float = 0.0
    needed: float = 0.0
    dry_until: float = 0.0
    used_at: float = 0.0
    local_at: float = 0.0
    asked: asyncio.Future[None] | None = None
    given: deque[tuple[float, float]] = field(default_factory=deque)

    def note(self, tokens: float, now: float) -> None:
        """Remembers what was given."""
        self.tokens += tokens
        self.given.append((now, tokens))
        while self.given and now - self.given[0][0] > RECENT_SECONDS:
            self.given.popleft()

    def recent_rate(self, now: float) -> float:
        """Tokens a second that were given lately; at least a tenth of the whole rate."""
        if not self.given:
            return self.quota.per_second
        seconds = max(now - self.given[0][0], 1.0)
        rate = sum(tokens for _, tokens in self.given) / seconds
        return min(max(rate, self.quota.per_second * _LEAST_SHARE), self.quota.per_second)


class Leases:
    """Takes tokens; `run` must run beside. For one event loop."""

    def __init__(self, store: BucketStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._shares: dict[str, _Share] = {}
        self._wake = asyncio.Event()
        self._away_until = 0.0
        self._forget_at = clock() + _FORGET_EVERY_SECONDS

    async def take(self, scope: str, quota: Quota, cost: float) -> float:
        """Takes ``cost`` tokens. Returns 0.0, or the seconds after which there may be enough; then nothing is taken.

        A cost above the burst passes with a full bucket and is paid off by waiting afterwards.
        """
        share = self._share(scope, quota)
        needed = min(cost, quota.burst)
        if share.tokens < needed:
            now = self._clock()
            if now < share.dry_until:
                return share.dry_until - now
            share.needed += needed
            await asyncio.shield(self._ask(share))
            if share.tokens < needed:
                now = self._clock()
                short = (needed - share.tokens) / quota.per_second
                share.dry_until = now + max(short, LEAST_PAUSE_SECONDS)
                return short
        share.tokens -= cost
        if share.tokens < quota.per_second * LEASE_SECONDS / 2 and self._clock() >= share.dry_until:
            self._ask(share)
        return 0.0

    def charge(self, scope: str, cost: float) -> None:
        """Takes tokens that were used already; more than there are is paid off by waiting afterwards."""
        if share := self._shares.get(scope):
            share.tokens -= cost

    def held(self, scope: str) -> float:
        """Tokens of the scope that this gateway holds."""
        share = self._shares.get(scope)
        return max(share.tokens, 0.0) if share else 0.0

    async def run(self) -> None:
        """Leases what is asked for and gives back what is not used, until cancelled."""
        while True:
            await happens(self._wake, IDLE_SECONDS)
            self._wake.clear()
            await self._round()

    def _share(self, scope: str, quota: Quota) -> _Share:
        share = self._shares.get(scope)
        if share is None:
            share = self._shares[scope] = _Share(quota)
        share.quota = quota
        share.used_at = self._clock()
        return share

    def _ask(self, share: _Share) -> asyncio.Future[None]:
        if share.asked is None:
            share.asked = asyncio.get_running_loop().create_future()
            self._wake.set()
        return share.asked

    async def _round(self) -> None:
        """One request to the store for all scopes that need it."""
        now = self._clock()
        asked = {scope: share for scope, share in self._shares.items() if share.asked is not None}
        idle = {
            scope: share
            for scope, share in self._shares.items()
            if share.asked is None and now - share.used_at > IDLE_SECONDS
        }
        futures = [share.asked for share in asked.values()]
        leases = [self._wish(scope, share) for scope, share in asked.items()]
        for scope, share in idle.items():
            leases.append(Lease(scope, share.quota.per_second, share.quota.burst, 0.0, share.tokens))
            share.tokens = 0.0
        try:
            if leases:
                await self._settle(leases, asked, idle)
        finally:
            for future in futures:
                if future is not None and not future.done():
                    future.set_result(None)

    def _wish(self, scope: str, share: _Share) -> Lease:
        wanted = max(share.needed - share.tokens, 0.0) + share.quota.per_second * LEASE_SECONDS
        share.needed, share.asked = 0.0, None
        return Lease(scope, share.quota.per_second, share.quota.burst, wanted)

    async def _settle(self, leases: list[Lease], asked: dict[str, _Share], idle: dict[str, _Share]) -> None:
        given = await self._lease(leases)
        now = self._clock()
        if given is None:
            for lease in leases:
                if lease.wanted:
                    self._give_locally(asked[lease.scope], lease.wanted, now)
        else:
            for scope, share in asked.items():
                share.note(given.get(scope, 0.0), now)
        for scope, share in idle.items():
            if share.asked is None and now - share.used_at > IDLE_SECONDS and scope in self._shares:
                del self._shares[scope]

    async def _lease(self, leases: list[Lease]) -> dict[str, float] | None:
        """What the store gave; None while it is away."""
        if self._clock() < self._away_until:
            return None
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                given = dict(await self._store.lease(leases))
                if self._clock() >= self._forget_at:
                    self._forget_at = self._clock() + _FORGET_EVERY_SECONDS
                    await self._store.forget(_FORGET_EVERY_SECONDS)
        except Exception as error:  # whatever the store raises, callers are served
            if not self._away_until:
                _log.warning("quotas go on locally", error=type(error).__name__)
            self._away_until = self._clock() + _AWAY_SECONDS
            _leases.labels("failed").inc()
            _away.set(1)
            return None
        if self._away_until:
            _log.info("quotas are leased again")
        self._away_until = 0.0
        _leases.labels("ok").inc()
        _away.set(0)
        return given

    def _give_locally(self, share: _Share, wanted: float, now: float) -> None:
        """Fills the share with the rate of lately, as a bucket of its own."""
        rate = share.recent_rate(now)
        since = share.local_at or (now - LEASE_SECONDS)
        burst = max(share.quota.burst * rate / share.quota.per_second, 1.0)
        tokens = min(wanted, burst, (now - since) * rate)
        share.local_at = now
        share.note(max(tokens, 0.0), now)
