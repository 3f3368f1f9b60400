"""Receipts as JSON Web Signatures (RFC 7515, compact; EdDSA by Ed25519, RFC 8037): any JOSE library verifies them."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

TYPE = "mercato-erasure+jws"
SIGNATURE_PARTS = 3


class InvalidReceipt(ValueError):
    """A receipt that was not signed by this key, or is none."""


class ReceiptSigner:
    """Signs with one key; `seed` are its 32 secret bytes."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        public = _encoded(self._key.public_key().public_bytes_raw())
        self._jwk = {"crv": "Ed25519", "kty": "OKP", "x": public}
        # The thumbprint of RFC 7638: members in this order, without spaces.
        thumbprint = hashlib.sha256(json.dumps(self._jwk, separators=(",", ":")).encode()).digest()
        self.key_id = _encoded(thumbprint)

    def sign(self, payload: dict[str, Any]) -> str:
        """The receipt of a payload."""
        header = {"alg": "EdDSA", "kid": self.key_id, "typ": TYPE}
        signed = f"{_encoded(_json(header))}.{_encoded(_json(payload))}"
        return f"{signed}.{_encoded(self._key.sign(signed.encode()))}"

    @property
    def jwk(self) -> str:
        """The public key as a JSON Web Key."""
        return json.dumps({**self._jwk, "alg": "EdDSA", "use": "sig", "kid": self.key_id}, sort_keys=True)


def verify(receipt: str, jwk: str) -> dict[str, Any]:
    """The payload of a receipt. Raises InvalidReceipt, saying what is wrong."""
    parts = receipt.strip().split(".")
    if len(parts) != SIGNATURE_PARTS:
        raise InvalidReceipt("a receipt has three parts between dots")
    key = _public_key(jwk)
    try:
        header, payload, signature = json.loads(_decoded(parts[0])), _decoded(parts[1]), _decoded(parts[2])
        if not isinstance(header, dict) or (header.get("alg"), header.get("typ")) != ("EdDSA", TYPE):
            raise InvalidReceipt(f"the header is not that of a receipt (alg EdDSA, typ {TYPE})")
        key.verify(signature, f"{parts[0]}.{parts[1]}".encode())
        content: dict[str, Any] = json.loads(payload)
    except InvalidSignature:
        raise InvalidReceipt(
            "the signature does not hold: changed after it was signed, or signed by another key"
        ) from None
    except InvalidReceipt:
        raise
    except ValueError as error:
        raise InvalidReceipt("a part is not base64url of JSON") from error
    return content


def _public_key(jwk: str) -> Ed25519PublicKey:
    try:
        fields = json.loads(jwk)
        if (fields["kty"], fields["crv"]) != ("OKP", "Ed25519"):
            raise InvalidReceipt("the key is no Ed25519 key")
        return Ed25519PublicKey.from_public_bytes(_decoded(fields["x"]))
    except InvalidReceipt:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidReceipt("the key is no JSON Web Key") from error


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
