"""Builds quotas and kept answers for the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.gateway.access.audit import AuditLog
from services.gateway.adapters.postgres_answers import PostgresAnswers
from services.gateway.adapters.postgres_audit import PostgresAudit
from services.gateway.adapters.postgres_limits import PostgresBuckets, PostgresOverrides
from services.gateway.limits.charging import QuotaInterceptor
from services.gateway.limits.leases import Leases
from services.gateway.limits.ports import OverrideStore
from services.gateway.limits.quota import Prices
from services.gateway.limits.quotas import Quotas
from services.gateway.limits.repeated_writes import RepeatedWritesInterceptor
from services.gateway.settings import GatewaySettings
from shared.postgres.migrations import migrate
from shared.postgres.pool import open_pool
from shared.server.interceptors.handler import RpcInterceptor
from shared.server.parts import Background


@dataclass(frozen=True, slots=True)
class Limits:
    """What is added to the server, in this order after authentication."""

    interceptors: tuple[RpcInterceptor, ...]
    background: tuple[Background, ...]


@asynccontextmanager
async def open_limits(settings: GatewaySettings) -> AsyncIterator[Limits]:
    """Limits on connections of their own, so that no quota waits for a key or the audit log; starts without them."""
    async with open_pool(
        settings.postgres_dsn, max_size=4, application_name="mercato-gateway-limits", start_timeout_seconds=None
    ) as pool:
        leases = Leases(PostgresBuckets(pool))
        quotas = Quotas(leases, PostgresOverrides(pool), settings.quota_defaults, settings.quota_poll_seconds)
        writes = RepeatedWritesInterceptor(PostgresAnswers(pool))
        prices = Prices(settings.quota_prices, settings.quota_item_price)
        yield Limits(
            interceptors=(QuotaInterceptor(quotas, prices), writes),
            background=(leases.run, quotas.follow, writes.forget),
        )


@asynccontextmanager
async def open_overrides(settings: GatewaySettings) -> AsyncIterator[tuple[OverrideStore, AuditLog]]:
    """The stored quotas and the log of who changes them, for a command; makes the tables where no gateway did.

    Raises Unavailable.
    """
    async with open_pool(settings.postgres_dsn, application_name="mercato-quota", start_timeout_seconds=5) as pool:
        await migrate(pool, "services.gateway.migrations")
        yield PostgresOverrides(pool), AuditLog(PostgresAudit(pool))
