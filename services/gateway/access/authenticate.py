"""Who is calling: an API key, a signed token, or anybody while the suite is open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from services.gateway.access.caller import OPEN, Caller
from services.gateway.access.keys import PREFIX
from services.gateway.access.known_keys import KnownKeys
from services.gateway.access.scopes import expand
from services.gateway.access.usage import KeyUsage
from shared.errors.base import Unauthenticated

HOW = "send an API key as x-api-key, or a key or token as authorization: Bearer"
ReadToken = Callable[[str], Awaitable[Caller]]
"""Verifies a signed token. Raises Unauthenticated, and Unavailable while the issuer's keys cannot be had."""


class Authenticate:
    """Finds the caller of a call. ``always``: also without any key; ``read_token`` None: no tokens are accepted."""

    def __init__(self, keys: KnownKeys, usage: KeyUsage, read_token: ReadToken | None, *, always: bool) -> None:
        self._keys = keys
        self._usage = usage
        self._read_token = read_token
        self._always = always

    async def __call__(self, api_key: str, bearer: str) -> Caller:
        """``api_key`` and ``bearer`` are what was sent; empty: nothing.

        Raises Unauthenticated, and Unavailable while it cannot be told who may call.
        """
        if api_key or bearer.startswith(PREFIX):
            return await self._by_key(api_key or bearer)
        if not (self._always or self._keys.any_key):
            return OPEN
        if bearer and self._read_token:
            return await self._read_token(bearer)
        if bearer:
            raise Unauthenticated(f"the bearer is no API key, and tokens are not accepted here: {HOW}")
        if not (self._read_token or self._keys.any_key):
            raise Unauthenticated(
                "there is no API key yet: make one on the gateway's machine with `mercato key create --direct`"
            )
        raise Unauthenticated(f"credentials are needed: {HOW}")

    async def _by_key(self, secret: str) -> Caller:
        """Also while the suite is open: who names a tenant by a key does not mean the default one."""
        found = await self._keys.seek(secret)
        if found is None:
            raise Unauthenticated("the API key is not valid: unknown, expired or revoked")
        self._usage.note(found.key_id)
        return Caller(f"key:{found.key_id}", found.tenant, expand(found.scopes))
