"""Who may call: API keys in `x-api-key` or `authorization: Bearer`, with the scope that the method needs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.gateway.api_keys import ApiKeyFile
from shared.context.request import TENANT_METADATA, set_tenant
from shared.errors.base import PermissionDenied, Unauthenticated
from shared.server.interceptors.handler import Context, Rpc, RpcInterceptor, metadata_value

READING = ("Get", "List", "BatchGet", "Recommend", "Similar", "Compare", "Search", "Ask")
OPERATING = ("OperationsService/", "/ExportUserData", "/EraseUserData")


def scope_of(method: str) -> str:
    """The scope that a method needs: `read`, `write` or `operate`."""
    if any(part in method for part in OPERATING):
        return "operate"
    return "read" if method.rsplit("/", 1)[-1].startswith(READING) else "write"


class AuthenticationInterceptor(RpcInterceptor):
    """Refuses calls without a valid key as soon as there is any key; the key's tenant is the call's tenant."""

    def __init__(self, keys: ApiKeyFile) -> None:
        super().__init__()
        self._keys = keys

    @asynccontextmanager
    async def around(self, rpc: Rpc, context: Context) -> AsyncIterator[None]:
        if self._keys.required():
            self._check(rpc, context)
        yield

    def _check(self, rpc: Rpc, context: Context) -> None:
        sent = metadata_value(context, "x-api-key") or _bearer(metadata_value(context, "authorization"))
        key = self._keys.find(sent) if sent else None
        if key is None:
            raise Unauthenticated("a valid API key is needed: send it as x-api-key or authorization: Bearer")
        scope = scope_of(rpc.method)
        if scope not in key.scopes:
            raise PermissionDenied(f"the API key lacks the scope {scope!r}", metadata={"scope": scope})
        tenant = metadata_value(context, TENANT_METADATA)
        if tenant and tenant != key.tenant:
            raise PermissionDenied("the API key belongs to another tenant", metadata={"tenant": tenant})
        set_tenant(key.tenant)


def _bearer(value: str) -> str:
    kind, _, key = value.partition(" ")
    return key.strip() if kind.lower() == "bearer" else ""
