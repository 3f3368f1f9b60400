"""Attribution tokens: signed, opaque to clients, without personal data.

A token names the request, tenant, release, kind of list, time, and the products in their positions (as 64-bit
hashes), so that an event that carries it can be joined to what was shown. Layout: version byte, MAC (16 bytes of
HMAC-SHA256), zlib of a JSON header and the hashes; URL-safe base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
import zlib
from dataclasses import dataclass
from pathlib import Path

from shared.errors.base import InvalidArgument, Violation
from shared.errors.reasons import Reason

VERSION = 1
MAC_BYTES = 16
HASH_BYTES = 8
LARGEST_PAYLOAD = 16_384


@dataclass(frozen=True, slots=True)
class Attribution:
    """What a token says. `first_position` is the position of the first product: pages of a search go on counting."""

    request_id: str
    tenant: str
    release_id: str
    list_kind: str
    time_s: int
    product_hashes: tuple[bytes, ...]
    first_position: int = 0

    def position(self, product_id: str) -> int | None:
        """The product's position in the list, from 0; None when it was not shown."""
        digest = product_hash(product_id)
        return self.first_position + self.product_hashes.index(digest) if digest in self.product_hashes else None


def product_hash(product_id: str) -> bytes:
    """64 bits of a product's id."""
    return hashlib.blake2b(product_id.encode(), digest_size=HASH_BYTES).digest()


class TokenSigner:
    """Makes and reads tokens with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, attribution: Attribution) -> str:
        """Makes a token."""
        header = [
            attribution.request_id,
            attribution.tenant,
            attribution.release_id,
            attribution.list_kind,
            attribution.time_s,
            attribution.first_position,
        ]
        text = json.dumps(header, separators=(",", ":")).encode()
        payload = zlib.compress(text + b"\n" + b"".join(attribution.product_hashes), 1)
        return base64.urlsafe_b64encode(bytes([VERSION]) + self._mac(payload) + payload).decode().rstrip("=")

    def read(self, token: str) -> Attribution:
        """Reads a token. Raises InvalidArgument with reason INVALID_ATTRIBUTION_TOKEN."""
        try:
            raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
            mac, payload = raw[1 : 1 + MAC_BYTES], raw[1 + MAC_BYTES :]
            if raw[0] != VERSION or not hmac.compare_digest(mac, self._mac(payload)):
                raise ValueError
            text, _, hashes = zlib.decompressobj().decompress(payload, LARGEST_PAYLOAD).partition(b"\n")
            request_id, tenant, release_id, list_kind, time_s, first = json.loads(text)
        except (ValueError, IndexError, binascii.Error, zlib.error):
            raise invalid_token() from None
        products = tuple(hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES))
        return Attribution(request_id, tenant, release_id, list_kind, time_s, products, first)

    def holds(self, token: str, tenant: str) -> bool:
        """Whether this suite made the token for this tenant."""
        try:
            return self.read(token).tenant == tenant
        except InvalidArgument:
            return False

    def _mac(self, payload: bytes) -> bytes:
        return hmac.new(self._key, bytes([VERSION]) + payload, hashlib.sha256).digest()[:MAC_BYTES]


def invalid_token(field: str = "attribution_token") -> InvalidArgument:
    """The error for a token that does not hold."""
    violation = Violation(field, "is malformed or was not made by this suite", "attribution_token.signature")
    return InvalidArgument([violation], reason=Reason.INVALID_ATTRIBUTION_TOKEN, metadata={"field": field})


def load_key(configured: str, data: Path) -> bytes:
    """The configured secret, else one that is made once and kept in `<data>/keys`, readable by its owner alone."""
    if configured:
        return hashlib.sha256(configured.encode()).digest()
    path = data / "keys" / "attribution.key"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return bytes.fromhex(path.read_text().strip())
    with os.fdopen(descriptor, "w") as file:
        key = secrets.token_bytes(32)
        file.write(key.hex())
    return key
