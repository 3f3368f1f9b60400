"""Authentication and authorisation of each call: who calls, and whether the table lets them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.gateway.access.authenticate import Authenticate
from services.gateway.access.caller import Caller, set_caller
from services.gateway.access.table import Rule, rule_of
from services.gateway.auditing import Auditor
from shared.context.request import TENANT_METADATA, current_tenant, set_tenant
from shared.errors.base import MercatoError, PermissionDenied, Unauthenticated
from shared.server.interceptors.handler import Context, Rpc, RpcInterceptor, metadata_value
from shared.telemetry.metrics import counter

REFUSED = counter("gateway_refused_callers_total", "Calls refused for who made them.", ("reason",))


class AuthenticationInterceptor(RpcInterceptor):
    """Refuses whom the table does not let in; the caller's tenant is the call's tenant."""

    def __init__(self, authenticate: Authenticate, auditor: Auditor) -> None:
        super().__init__()
        self._authenticate = authenticate
        self._auditor = auditor

    @asynccontextmanager
    async def around(self, rpc: Rpc, context: Context) -> AsyncIterator[None]:
        try:
            rule = await self._admit(rpc, context)
        except (PermissionDenied, Unauthenticated) as error:
            REFUSED.labels(error.reason.value).inc()
            raise
        async with self._auditor.recorded(rule, rpc, context):
            yield

    async def _admit(self, rpc: Rpc, context: Context) -> Rule:
        """Sets caller and tenant. Raises Unauthenticated, PermissionDenied and Unavailable."""
        bearer = _bearer(metadata_value(context, "authorization"))
        caller = await self._authenticate(metadata_value(context, "x-api-key"), bearer)
        rule = rule_of(rpc.method)
        try:
            _check_tenant(caller, metadata_value(context, TENANT_METADATA))
            if rule is None:
                raise PermissionDenied("this method is not in the authorisation table")
            if rule.scope not in caller.scopes:
                raise PermissionDenied(
                    f"the caller lacks the scope {rule.scope.value!r}", metadata={"scope": rule.scope}
                )
        except MercatoError as error:
            set_tenant(caller.tenant or current_tenant())
            if rule is not None and rule.audited:
                await self._auditor.refused(caller, rpc, context, error)
            raise
        set_tenant(caller.tenant or current_tenant())
        set_caller(caller)
        return rule


def _check_tenant(caller: Caller, named: str) -> None:
    """Raises PermissionDenied when the caller names another tenant than its own."""
    if caller.tenant and named and named != caller.tenant:
        raise PermissionDenied("the caller belongs to another tenant", metadata={"tenant": named})


def _bearer(value: str) -> str:
    kind, _, credentials = value.partition(" ")
    return credentials.strip() if kind.lower() == "bearer" else ""
