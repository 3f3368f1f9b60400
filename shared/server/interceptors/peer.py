"""Peer: which services may call this one, by the names in their certificates."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from shared.errors.base import PermissionDenied
from shared.server.interceptors.handler import Context, Rpc, RpcInterceptor


class PeerInterceptor(RpcInterceptor):
    """PERMISSION_DENIED for a caller whose certificate carries none of ``allowed`` names."""

    def __init__(self, allowed: Collection[str]) -> None:
        super().__init__()
        self._allowed = frozenset(allowed)

    @asynccontextmanager
    async def around(self, rpc: Rpc, context: Context) -> AsyncIterator[None]:
        names = {name.decode("utf-8", "replace") for name in context.peer_identities() or ()}
        if context.peer_identity_key() != "x509_subject_alternative_name" or not names & self._allowed:
            raise PermissionDenied("the caller's certificate carries no name that may call this service")
        yield
