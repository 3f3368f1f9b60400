"""Tenant: taken from ``mercato-tenant``; ``default`` when the client sent none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.context.request import DEFAULT_TENANT, TENANT_METADATA, is_tenant, set_tenant
from shared.errors.base import InvalidArgument, Violation
from shared.errors.reasons import Reason
from shared.server.interceptors.handler import Context, Rpc, RpcInterceptor, metadata_value


class TenantInterceptor(RpcInterceptor):
    """Sets ``current_tenant()``; a malformed tenant is INVALID_ARGUMENT, reason INVALID_TENANT."""

    @asynccontextmanager
    async def around(self, rpc: Rpc, context: Context) -> AsyncIterator[None]:
        tenant = metadata_value(context, TENANT_METADATA) or DEFAULT_TENANT
        if not is_tenant(tenant):
            rule = "must be 1 to 63 of a-z, 0-9, '-', '_', starting with a letter or digit"
            violation = Violation(TENANT_METADATA, rule, "tenant.pattern")
            raise InvalidArgument([violation], reason=Reason.INVALID_TENANT, metadata={"tenant": tenant})
        set_tenant(tenant)
        yield
