"""A token issuer that listens on the loopback: publishes its keys and signs what it is told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER, AUDIENCE = "https://issuer.example", "mercato"


class TokenIssuer:
    """Holds private keys by id; ``answer`` replaces the key set that is published."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {"first": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        self.answer: bytes | None = None
        self.status = 200
        self.reads = 0
        self.url = ""

    def add_ec(self, key_id: str) -> None:
        self.keys[key_id] = ec.generate_private_key(ec.SECP256R1())

    def add_ed(self, key_id: str) -> None:
        self.keys[key_id] = ed25519.Ed25519PrivateKey.generate()

    def key_set(self) -> bytes:
        entries = []
        for key_id, key in self.keys.items():
            algorithm = _algorithm(key)
            maker = jwt.algorithms.get_default_algorithms()[algorithm]
            entry = json.loads(maker.to_jwk(key.public_key()))
            entries.append({**entry, "kid": key_id, "use": "sig", "alg": algorithm})
        return json.dumps({"keys": entries}).encode()

    def token(self, key_id: str = "first", headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A valid token, but for what ``claims`` say; None leaves a claim out."""
        now = time.time()
        usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "someone@example.org", "exp": now + 300, "iat": now}
        said = {**usual, "tenant": "shop", "scope": "search", **claims}
        said = {name: value for name, value in said.items() if value is not None}
        key = self.keys[key_id]
        return jwt.encode(said, key, algorithm=_algorithm(key), headers={"kid": key_id, **(headers or {})})


def _algorithm(key: Any) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return "RS256"
    return "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "EdDSA"


@contextmanager
def token_issuer() -> Iterator[TokenIssuer]:
    """A running issuer."""
    issuer = TokenIssuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.reads += 1
            body = issuer.answer if issuer.answer is not None else issuer.key_set()
            self.send_response(issuer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}/keys"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
