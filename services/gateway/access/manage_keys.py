"""Makes, lists, rotates and revokes API keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.gateway.access.caller import Caller
from services.gateway.access.keys import ApiKey, NewKey, digest, new_secret
from services.gateway.access.known_keys import KnownKeys
from services.gateway.access.ports import KeyStore
from services.gateway.access.scopes import NAMES, expand, unknown
from shared.errors.base import InvalidArgument, NotFound, PermissionDenied, Violation

DEFAULT_OVERLAP_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Rotated:
    """A key with a new secret."""

    key: ApiKey
    secret: str
    previous_ends: datetime


class ManageKeys:
    """Acts on one tenant's keys in the name of a caller, who can give and renew only what it has itself."""

    def __init__(self, store: KeyStore, known: KnownKeys) -> None:
        self._store = store
        self._known = known

    async def create(self, caller: Caller, key: NewKey) -> tuple[ApiKey, str]:
        """The key and its secret, shown this once. Raises InvalidArgument, PermissionDenied and AlreadyExists."""
        check_scopes(key.scopes)
        _check_has(caller, key.scopes)
        secret = new_secret()
        made = await self._store.create(key, digest(secret))
        await self._known.refresh()
        return made, secret

    async def list(self, tenant: str, before: int | None, limit: int, *, ended: bool) -> Sequence[ApiKey]:
        """Newest first."""
        return await self._store.list(tenant, before, limit, ended=ended)

    async def rotate(self, caller: Caller, tenant: str, key_id: str, overlap_seconds: float) -> Rotated:
        """Raises NotFound and PermissionDenied."""
        found = await self._store.get(tenant, key_id)
        if found is None:
            raise NotFound("api_key", key_id)
        _check_has(caller, found.scopes)
        secret = new_secret()
        rotated = await self._store.rotate(tenant, key_id, digest(secret), overlap_seconds)
        if rotated is None:
            raise NotFound("api_key", key_id)
        await self._known.refresh()
        return Rotated(rotated[0], secret, rotated[1])

    async def revoke(self, tenant: str, key_id: str) -> ApiKey:
        """Raises NotFound."""
        revoked = await self._store.revoke(tenant, key_id)
        if revoked is None:
            raise NotFound("api_key", key_id)
        await self._known.refresh()
        return revoked


def check_scopes(names: Sequence[str]) -> None:
    """Raises InvalidArgument, naming every item that is no scope."""
    wrong = set(unknown(names))
    violations = [
        Violation(f"scopes[{place}]", f"{name!r} is no scope; there are {', '.join(NAMES)}", "scopes.known")
        for place, name in enumerate(names)
        if name in wrong
    ]
    if violations:
        raise InvalidArgument(violations)


def _check_has(caller: Caller, names: Sequence[str]) -> None:
    """Raises PermissionDenied when the caller would give more than it has."""
    lacking = sorted(expand(names) - caller.scopes)
    if lacking:
        scopes = ", ".join(lacking)
        raise PermissionDenied(
            f"the caller lacks the scopes {scopes}, so it cannot give them", metadata={"scope": scopes}
        )
