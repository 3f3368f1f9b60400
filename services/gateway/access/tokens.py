"""Signed tokens (JWT, RFC 7519) of an OpenID Connect issuer: verified here, without asking the issuer for each."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt

from services.gateway.access.caller import Caller
from services.gateway.access.ports import TokenKeys
from services.gateway.access.scopes import expand
from shared.context.request import is_tenant
from shared.errors.base import PermissionDenied, Unauthenticated

LONGEST_TOKEN = 8_192
LONGEST_KEY_ID = 256
REQUIRED = ("exp", "iss", "aud", "sub")
ASYMMETRIC = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""What may be allowed: nothing whose verification key could sign (HS…), and never `none`."""
_SAYS: Mapping[type[Exception], str] = {
    jwt.ExpiredSignatureError: "has expired",
    jwt.ImmatureSignatureError: "is not valid yet",
    jwt.InvalidAudienceError: "is for another audience",
    jwt.InvalidIssuerError: "is of another issuer",
    jwt.MissingRequiredClaimError: "lacks one of the claims " + ", ".join(REQUIRED),
    jwt.InvalidSignatureError: "has a signature that does not hold",
}


@dataclass(frozen=True, slots=True)
class TokenRules:
    """Which tokens are accepted and what they say."""

    issuer: str
    audiences: Sequence[str]
    algorithms: Sequence[str]
    skew_seconds: float
    """How far clocks may differ."""
    tenant_claim: str
    """Path of the claim with the tenant; dots lead into objects."""
    default_tenant: str
    """The tenant of tokens without that claim; empty: they are refused."""
    scope_claim: str
    """Path of the claim with the scopes: a list, or a text with spaces."""
    scopes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The scopes that each value of that claim gives; empty: values are scopes by our own names."""


class ReadToken:
    """Verifies tokens. ``secret`` makes pseudonyms of subjects, so that logs hold no names of people."""

    def __init__(self, rules: TokenRules, keys: TokenKeys, secret: bytes) -> None:
        self._rules = rules
        self._keys = keys
        self._secret = secret

    async def __call__(self, token: str) -> Caller:
        """Raises Unauthenticated, PermissionDenied for a valid token without tenant, and Unavailable."""
        if len(token) > LONGEST_TOKEN:
            raise Unauthenticated(f"the token is longer than {LONGEST_TOKEN} bytes")
        key = await self._keys.find(self._key_id(token))
        if key is None:
            raise Unauthenticated("the token is signed with a key that its issuer does not publish")
        return self._caller(self._verified(token, key))

    def _key_id(self, token: str) -> str:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Unauthenticated("the bearer is neither an API key nor a token") from None
        key_id = header.get("kid")
        if header.get("alg") not in self._rules.algorithms:
            raise Unauthenticated("the token is signed with an algorithm that is not accepted")
        if not isinstance(key_id, str) or not 0 < len(key_id) <= LONGEST_KEY_ID or "crit" in header:
            raise Unauthenticated("the token's header lacks a kid, or demands extensions")
        return key_id

    def _verified(self, token: str, key: jwt.PyJWK) -> Mapping[str, Any]:
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(self._rules.algorithms),
                audience=list(self._rules.audiences),
                issuer=self._rules.issuer,
                leeway=self._rules.skew_seconds,
                options={"require": list(REQUIRED)},
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            says = next((text for kind, text in _SAYS.items() if isinstance(error, kind)), "is malformed")
            raise Unauthenticated(f"the token {says}") from None
        return claims

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        tenant = _claim(claims, self._rules.tenant_claim)
        if tenant is None:
            tenant = self._rules.default_tenant
        if not isinstance(tenant, str) or not is_tenant(tenant):
            raise PermissionDenied(f"the token's claim {self._rules.tenant_claim!r} names no tenant")
        granted = _words(_claim(claims, self._rules.scope_claim))
        if self._rules.scopes:
            granted = [name for word in granted for name in self._rules.scopes.get(word, ())]
        return Caller(f"token:{self._pseudonym(claims)}", tenant, expand(granted))

    def _pseudonym(self, claims: Mapping[str, Any]) -> str:
        person = f"{claims['iss']}\n{claims['sub']}".encode("utf-8", "replace")
        return hmac.new(self._secret, person, hashlib.sha256).hexdigest()[:16]


def _claim(claims: Any, path: str) -> Any:
    """The claim at ``path``; a name with dots is also found as it is. None: there is none."""
    if isinstance(claims, Mapping) and path in claims:
        return claims[path]
    for name in path.split("."):
        if not isinstance(claims, Mapping) or name not in claims:
            return None
        claims = claims[name]
    return claims


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.split()
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
