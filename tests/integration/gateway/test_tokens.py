"""Tokens of an issuer with a real HTTP server, good and hostile, through the real interceptors."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from mercato.gateway.v1 import audit_event_pb2
from pydantic import ValidationError

from services.gateway.settings import GatewaySettings
from tests.integration.gateway.conftest import Front, OpenFront, pairs
from tests.integration.gateway.test_api_keys import direct, opens, refusal
from tests.suites.token_issuer import AUDIENCE, ISSUER, TokenIssuer, token_issuer
from tests.suites.waiting import until

Code = grpc.StatusCode
SYMMETRIC = "an oct key that anybody can read in the set"


@pytest.fixture
def issuer() -> Iterator[TokenIssuer]:
    with token_issuer() as running:
        yield running


def settings_for(issuer: TokenIssuer, **changes: Any) -> dict[str, Any]:
    return {"jwt_issuer": ISSUER, "jwt_audiences": (AUDIENCE, "other"), "jwt_keys_url": issuer.url, **changes}


@pytest.fixture
async def trusting(front: OpenFront, issuer: TokenIssuer) -> AsyncIterator[Front]:
    async with front(**settings_for(issuer)) as gateway:
        yield gateway


async def test_a_token_opens_its_tenant_and_its_scopes(trusting: Front, issuer: TokenIssuer) -> None:
    issuer.add_ec("curve")
    issuer.add_ed("edwards")
    for key_id in ("first", "curve", "edwards"):
        assert await trusting.search(authorization=f"Bearer {issuer.token(key_id)}") == "shop"
    assert (await refusal(trusting.search()))[0] is Code.UNAUTHENTICATED
    token = issuer.token()
    assert (await refusal(trusting.search(authorization=f"Bearer {token}", mercato_tenant="b")))[0] is (
        Code.PERMISSION_DENIED
    )
    narrow = issuer.token(scope="ask events")
    assert (await refusal(trusting.search(authorization=f"Bearer {narrow}"))) == (
        Code.PERMISSION_DENIED,
        "the caller lacks the scope 'search'",
    )
    assert issuer.reads == 1


async def test_keys_and_tokens_work_side_by_side(trusting: Front, issuer: TokenIssuer, postgres_database: str) -> None:
    made = direct(postgres_database, "--tenant", "shop", "create", "web", "--scope", "search")
    await until(lambda: opens(trusting, made["secret"]))
    assert await trusting.search(authorization=f"Bearer {issuer.token()}") == "shop"


async def test_roles_of_the_issuer_become_scopes_and_a_tenant_may_be_given(
    front: OpenFront, issuer: TokenIssuer
) -> None:
    changes = {
        "jwt_scope_claim": "realm_access.roles",
        "jwt_scopes": {"shop-back-end": ("read",), "admin": ("operate",)},
        "jwt_default_tenant": "only",
    }
    async with front(**settings_for(issuer, **changes)) as gateway:
        reader = issuer.token(tenant=None, realm_access={"roles": ["shop-back-end", "operate", 7]})
        assert await gateway.search(authorization=f"Bearer {reader}") == "only"
        code, _ = await refusal(gateway.create("key", "read", authorization=f"Bearer {reader}"))
        assert code is Code.PERMISSION_DENIED, "a role named like a scope gives nothing"
        admin = issuer.token(tenant=None, sub="boss@example.org", realm_access={"roles": ["admin"]})
        bearer = {"authorization": f"Bearer {admin}"}
        await gateway.create("key", "audit", **bearer)
        listed = await gateway.operations.ListAuditEvents(
            audit_event_pb2.ListAuditEventsRequest(), metadata=pairs(bearer)
        )
        actors = {event.actor for event in listed.events}
        assert len(actors) == 2
        assert all(actor.startswith("token:") for actor in actors)
        assert "boss" not in str(listed)


def _segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _unsigned(issuer: TokenIssuer, alg: str) -> str:
    _, claims, _ = issuer.token().split(".")
    return f"{_segment({'alg': alg, 'kid': 'first', 'typ': 'JWT'})}.{claims}."


def _public_key_as_secret(issuer: TokenIssuer) -> str:
    """HS256 with the published key as the secret: what a library that trusts `alg` would accept."""
    import hashlib
    import hmac

    pem = (
        issuer.keys["first"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    head = f"{_segment({'alg': 'HS256', 'kid': 'first'})}.{issuer.token().split('.')[1]}"
    return f"{head}.{_segment(hmac.new(pem, head.encode(), hashlib.sha256).digest())}"


def _other_key(issuer: TokenIssuer) -> str:
    theirs = TokenIssuer()
    return theirs.token()


def _brought_along(issuer: TokenIssuer) -> str:
    """A key of the attacker's own in the header."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    mine = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    return jwt.encode(claims, key, "RS256", headers={"kid": "first", "jwk": mine, "jku": "http://127.0.0.1:1/keys"})


def _changed(issuer: TokenIssuer) -> str:
    head, claims, signature = issuer.token().split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    return f"{head}.{_segment({**said, 'tenant': 'other'})}.{signature}"


HOSTILE: dict[str, Callable[[TokenIssuer], str]] = {
    "alg none": lambda issuer: _unsigned(issuer, "none"),
    "alg None": lambda issuer: _unsigned(issuer, "None"),
    "alg left out": lambda issuer: f"{_segment({'kid': 'first'})}.{issuer.token().split('.')[1]}.",
    "no signature": lambda issuer: _unsigned(issuer, "RS256"),
    "the public key as HS256's secret": _public_key_as_secret,
    "a symmetric key of the set": lambda issuer: jwt.encode(
        jwt.decode(issuer.token(), options={"verify_signature": False}), SYMMETRIC, "HS256", headers={"kid": "oct"}
    ),
    "another issuer's key": _other_key,
    "a key in the header": _brought_along,
    "claims changed after signing": _changed,
    "RS256 named, elliptic key meant": lambda issuer: jwt.encode(
        {"iss": ISSUER}, issuer.keys["first"], "RS256", headers={"kid": "curve"}
    ),
    "PS256 on a key for RS256": lambda issuer: jwt.encode(
        jwt.decode(issuer.token(), options={"verify_signature": False}),
        issuer.keys["first"],
        "RS512",
        headers={"kid": "first"},
    ),
    "expired": lambda issuer: issuer.token(exp=time.time() - 60),
    "without expiry": lambda issuer: issuer.token(exp=None),
    "expiry that is no number": lambda issuer: issuer.token(exp="tomorrow"),
    "endless expiry": lambda issuer: issuer.token(exp=float("inf")),
    "not valid yet": lambda issuer: issuer.token(nbf=time.time() + 120),
    "issued in the future": lambda issuer: issuer.token(iat=time.time() + 3600),
    "another audience": lambda issuer: issuer.token(aud="bank"),
    "no audience": lambda issuer: issuer.token(aud=None),
    "another issuer": lambda issuer: issuer.token(iss="https://issuer.example.org"),
    "no subject": lambda issuer: issuer.token(sub=None),
    "no key id": lambda issuer: jwt.encode({"iss": ISSUER}, issuer.keys["first"], "RS256"),
    "a key id that is a list": lambda issuer: f"{_segment({'alg': 'RS256', 'kid': ['first']})}.e30.AA",
    "a huge key id": lambda issuer: issuer.token(headers={"kid": "x" * 300}),
    "an extension that must be understood": lambda issuer: issuer.token(headers={"crit": ["b64"], "b64": True}),
    "too long": lambda issuer: issuer.token(note="x" * 6200),
    "nested deeper than Python reads": lambda issuer: f"{_segment(b'[' * 3000)}.e30.AA",
    "no token at all": lambda issuer: "x.y.z",
    "one dot": lambda issuer: ".",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_tokens_are_refused(trusting: Front, issuer: TokenIssuer, name: str) -> None:
    issuer.add_ec("curve")
    published = json.loads(issuer.key_set())
    published["keys"].append({"kty": "oct", "kid": "oct", "alg": "HS256", "k": _segment(SYMMETRIC.encode())})
    issuer.answer = json.dumps(published).encode()
    code, message = await refusal(trusting.search(authorization=f"Bearer {HOSTILE[name](issuer)}"))
    assert code is Code.UNAUTHENTICATED, message
    assert await trusting.search(authorization=f"Bearer {issuer.token()}") == "shop"


async def test_a_long_token_is_never_refused_at_random(trusting: Front, issuer: TokenIssuer) -> None:
    token = issuer.token(note="x" * 5600)
    assert len(token) > 7_900
    for _ in range(100):
        assert await trusting.search(authorization=f"Bearer {token}", note="x" * 2_000) == "shop"


@pytest.mark.parametrize("tenant", [None, "", "A B", "../other", 7, ["shop"], {"shop": 1}, "x" * 64])
async def test_a_token_that_names_no_tenant_opens_nothing(trusting: Front, issuer: TokenIssuer, tenant: Any) -> None:
    token = issuer.token(tenant=tenant)
    assert (await refusal(trusting.search(authorization=f"Bearer {token}")))[0] is Code.PERMISSION_DENIED


async def test_clocks_may_differ_by_what_is_set(trusting: Front, issuer: TokenIssuer) -> None:
    now = time.time()
    assert await trusting.search(authorization=f"Bearer {issuer.token(exp=now - 10, nbf=now + 10, iat=now + 10)}")


async def test_made_up_key_ids_do_not_flood_the_issuer_and_new_keys_are_found(
    trusting: Front, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = issuer.token()
    assert await trusting.search(authorization=f"Bearer {good}") == "shop"
    for number in range(200):
        forged = issuer.token(headers={"kid": f"made up {number}"})
        assert (await refusal(trusting.search(authorization=f"Bearer {forged}")))[0] is Code.UNAUTHENTICATED
    assert issuer.reads == 1, "the first read was a moment ago"
    assert await trusting.search(authorization=f"Bearer {good}") == "shop"


async def test_keys_are_read_again_and_trusted_while_the_issuer_is_away(issuer: TokenIssuer) -> None:
    from services.gateway.adapters.jwks import JwksKeys, JwksTimes
    from shared.errors.base import Unavailable

    now = [0.0]
    keys = JwksKeys(issuer.url, JwksTimes(300, 10, 3600), clock=lambda: now[0])
    assert await keys.find("first") is not None
    issuer.add_ec("second")
    assert await keys.find("second") is None, "read a moment ago"
    now[0] = 11
    assert await keys.find("second") is not None
    del issuer.keys["second"]
    now[0] = 400
    assert await keys.find("second") is not None, "it is read again beside the call"

    async def gone() -> bool:
        return await keys.find("second") is None

    await until(gone)
    for status, answer in (
        (500, b"{}"),
        (200, b"no json"),
        (200, b'{"keys": {}}'),
        (200, b" " * (1 << 21)),
        (302, b""),
    ):
        issuer.status, issuer.answer = status, answer
        now[0] += 600
        assert await keys.find("first") is not None, (status, answer[:20])
        await until(lambda: _settled(keys))
    now[0] += 3601
    with pytest.raises(Unavailable):
        await keys.find("first")
    issuer.status, issuer.answer = 200, None
    now[0] += 11
    assert await keys.find("first") is not None


async def _settled(keys: Any) -> bool:
    return keys._refreshing is None or keys._refreshing.done()


async def test_an_issuer_that_was_never_reached_is_told_apart_from_a_bad_token(
    front: OpenFront, issuer: TokenIssuer
) -> None:
    issuer.status = 503
    async with front(**settings_for(issuer)) as gateway:
        assert (await refusal(gateway.search(authorization=f"Bearer {issuer.token()}")))[0] is Code.UNAVAILABLE


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"jwt_audiences": ()}, "needs jwt_audiences"),
        ({"jwt_keys_url": "http://issuer.example/keys"}, "must be https"),
        ({"jwt_keys_url": "file:///etc/passwd"}, "must be https"),
        ({"jwt_algorithms": ("RS256", "HS256")}, "HS256"),
        ({"jwt_algorithms": ("none",)}, "none"),
        ({"jwt_scopes": {"admin": ("everything",)}}, "everything"),
    ],
)
def test_settings_that_would_open_a_hole_are_refused(changes: dict[str, Any], says: str) -> None:
    values = {"jwt_issuer": ISSUER, "jwt_audiences": (AUDIENCE,), "jwt_keys_url": "https://issuer.example/keys"}
    with pytest.raises(ValidationError, match=says):
        GatewaySettings(**{**values, **changes})
