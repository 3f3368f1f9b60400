"""Attribution tokens: signed, opaque to clients, without personal data.

A token names the request, tenant, release, kind of list, time, the variants of experiments that made the answer, and
the products in their positions (as 64-bit hashes), so that an event that carries it can be joined to what was shown.
Layout: version byte, MAC (16 bytes of HMAC-SHA256), zlib of a JSON header and the hashes; URL-safe base64.

The gateway signs, and verifies the tokens of events before they are stored. Who reads stored tokens needs no key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from dataclasses import dataclass

from shared.errors.base import InvalidArgument, Violation
from shared.errors.reasons import Reason

VERSION = 1
MAC_BYTES = 16
HASH_BYTES = 8
LARGEST_PAYLOAD = 16_384
MOST_EXPOSURES, LONGEST_NAME = 8, 40
"""Variants that one answer may name: one a layer; and the length of their ids."""
_HEADER_TYPES = [str, str, str, str, int, int]
_LATEST_S = 1 << 40
_LAST_POSITION = 1 << 30


@dataclass(frozen=True, slots=True)
class Attribution:
    """What a token says. `first_position` is the position of the first product: pages of a search go on counting.

    `exposures` are pairs of experiment and variant, at most MOST_EXPOSURES.
    """

    request_id: str
    tenant: str
    release_id: str
    list_kind: str
    time_s: int
    product_hashes: tuple[bytes, ...]
    first_position: int = 0
    exposures: tuple[tuple[str, str], ...] = ()

    def position(self, product_id: str) -> int | None:
        """The product's position in the list, from 0; None when it was not shown."""
        return self.positions().get(product_hash(product_id))

    def positions(self) -> dict[bytes, int]:
        """The position of each product, by hash; the first one of a product that stands twice."""
        last = self.first_position + len(self.product_hashes) - 1
        return {digest: last - step for step, digest in enumerate(reversed(self.product_hashes))}


def product_hash(product_id: str) -> bytes:
    """64 bits of a product's id."""
    return hashlib.blake2b(product_id.encode(), digest_size=HASH_BYTES).digest()


class TokenSigner:
    """Makes tokens and verifies them with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, attribution: Attribution) -> str:
        """Makes a token."""
        header: list[object] = [
            attribution.request_id,
            attribution.tenant,
            attribution.release_id,
            attribution.list_kind,
            attribution.time_s,
            attribution.first_position,
        ]
        if attribution.exposures:
            header.append(attribution.exposures[:MOST_EXPOSURES])
        text = json.dumps(header, separators=(",", ":")).encode()
        payload = zlib.compress(text + b"\n" + b"".join(attribution.product_hashes), 1)
        return base64.urlsafe_b64encode(bytes([VERSION]) + self._mac(payload) + payload).decode().rstrip("=")

    def read(self, token: str) -> Attribution:
        """Verifies and reads a token. Raises InvalidArgument with reason INVALID_ATTRIBUTION_TOKEN."""
        try:
            mac, payload = _split(token)
            if not hmac.compare_digest(mac, self._mac(payload)):
                raise ValueError
            return _parse(payload)
        except (ValueError, zlib.error):
            raise invalid_token() from None

    def holds(self, token: str, tenant: str) -> bool:
        """Whether this suite made the token for this tenant."""
        try:
            return self.read(token).tenant == tenant
        except InvalidArgument:
            return False

    def _mac(self, payload: bytes) -> bytes:
        return hmac.new(self._key, bytes([VERSION]) + payload, hashlib.sha256).digest()[:MAC_BYTES]


def read_stored(token: str) -> Attribution | None:
    """Reads a token that was verified when it was stored, without the key; None when it is malformed.

    Never use it for a token that a client sent just now: anybody can make one that it reads.
    """
    try:
        return _parse(_split(token)[1])
    except (ValueError, zlib.error):
        return None


def invalid_token(field: str = "attribution_token") -> InvalidArgument:
    """The error for a token that does not hold."""
    violation = Violation(field, "is malformed or was not made by this suite", "attribution_token.signature")
    return InvalidArgument([violation], reason=Reason.INVALID_ATTRIBUTION_TOKEN, metadata={"field": field})


def _split(token: str) -> tuple[bytes, bytes]:
    """MAC and payload. Raises ValueError."""
    raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    if raw[:1] != bytes([VERSION]):
        raise ValueError("another version")
    return raw[1 : 1 + MAC_BYTES], raw[1 + MAC_BYTES :]


def _parse(payload: bytes) -> Attribution:
    """What a payload says; reads at most LARGEST_PAYLOAD bytes. Raises ValueError and zlib.error."""
    text, _, hashes = zlib.decompressobj().decompress(payload, LARGEST_PAYLOAD).partition(b"\n")
    try:
        header = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(header, list) or list(map(type, header[:6])) != _HEADER_TYPES or len(hashes) % HASH_BYTES:
        raise ValueError("another layout")
    request_id, tenant, release_id, list_kind, time_s, first = header[:6]
    exposures = _exposures(header[6:])
    "".join(header[:4]).encode()  # half a surrogate pair is no text
    if not (0 <= time_s <= _LATEST_S and 0 <= first <= _LAST_POSITION):
        raise ValueError("out of range")
    products = tuple(hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES))
    return Attribution(request_id, tenant, release_id, list_kind, time_s, products, first, exposures)


def _exposures(rest: list[object]) -> tuple[tuple[str, str], ...]:
    """Pairs of experiment and variant, from what follows the header. Raises ValueError."""
    if not rest:
        return ()
    pairs = rest[0]
    if len(rest) > 1 or not isinstance(pairs, list) or not 0 < len(pairs) <= MOST_EXPOSURES:
        raise ValueError("another layout")
    for pair in pairs:
        if not isinstance(pair, list) or list(map(type, pair)) != [str, str] or max(map(len, pair)) > LONGEST_NAME:
            raise ValueError("another layout")
        "".join(pair).encode()
    return tuple((experiment, variant) for experiment, variant in pairs)
