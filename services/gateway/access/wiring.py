"""Puts access control together. Beside the gateway's own wiring, the only place that names its adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.gateway.access.audit import AuditLog
from services.gateway.access.authenticate import Authenticate
from services.gateway.access.known_keys import KeyTimes, KnownKeys
from services.gateway.access.manage_keys import ManageKeys
from services.gateway.access.opening import OpenAccess
from services.gateway.access.tokens import ReadToken, TokenRules
from services.gateway.access.usage import KeyUsage
from services.gateway.adapters.jwks import JwksKeys, JwksTimes
from services.gateway.adapters.key_file import adopt_key_file
from services.gateway.adapters.postgres_audit import PostgresAudit
from services.gateway.adapters.postgres_keys import PostgresKeys
from services.gateway.attribution import load_key
from services.gateway.auditing import Auditor, TargetInterceptor
from services.gateway.authentication import AuthenticationInterceptor
from services.gateway.servicers.access import AccessUseCases
from services.gateway.settings import GatewaySettings
from shared.postgres.migrations import migrate
from shared.postgres.pool import open_pool, pool_check
from shared.server.interceptors.handler import RpcInterceptor
from shared.server.parts import Background, Check

START_SECONDS = 5.0
"""How long the start waits for the database; then the gateway starts and is NOT_SERVING until it knows the keys."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call, ready to be served."""

    use_cases: AccessUseCases
    interceptors: tuple[RpcInterceptor, ...]
    background: tuple[Background, ...]
    checks: dict[str, Check]


@asynccontextmanager
async def open_access(settings: GatewaySettings) -> AsyncIterator[Access]:
    """Keys and audit log in PostgreSQL; starts without it."""
    async with open_pool(
        settings.postgres_dsn, max_size=4, application_name="mercato-gateway", start_timeout_seconds=None
    ) as pool:
        store, audit = PostgresKeys(pool), PostgresAudit(pool)
        known = KnownKeys(store, KeyTimes(settings.keys_poll_seconds, settings.keys_outage_seconds))
        usage, log = KeyUsage(store), AuditLog(audit)
        always = bool(settings.require_authentication or settings.jwt_issuer or not settings.loopback_only)

        async def prepare() -> None:
            await migrate(pool, "services.gateway.migrations")
            await adopt_key_file(settings.api_keys_file, store)

        opening = OpenAccess(prepare, known)
        await opening.within(START_SECONDS)
        authenticate = Authenticate(known, usage, token_reader(settings), always=always)
        yield Access(
            use_cases=AccessUseCases(ManageKeys(store, known), audit),
            interceptors=(AuthenticationInterceptor(authenticate, Auditor(log)), TargetInterceptor()),
            background=(opening.run, usage.run, log.run),
            checks={"keys": known.check, "postgres": pool_check(pool)},
        )


def token_reader(settings: GatewaySettings) -> ReadToken | None:
    """Verifies tokens of the configured issuer; None without one."""
    if not settings.jwt_issuer:
        return None
    rules = TokenRules(
        issuer=settings.jwt_issuer,
        audiences=settings.jwt_audiences,
        algorithms=settings.jwt_algorithms,
        skew_seconds=settings.jwt_skew_seconds,
        tenant_claim=settings.jwt_tenant_claim,
        default_tenant=settings.jwt_default_tenant,
        scope_claim=settings.jwt_scope_claim,
        scopes=settings.jwt_scopes,
    )
    keys = JwksKeys(settings.jwt_keys_url, JwksTimes(fresh_seconds=settings.jwt_keys_fresh_seconds))
    return ReadToken(rules, keys, load_key(settings.token_key, settings.data))
