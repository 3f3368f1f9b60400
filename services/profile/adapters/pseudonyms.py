"""Pseudonyms of people and requests in what leaves the database: HMAC-SHA256 with a key of the installation."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from shared.keys.kept_key import kept_key

KEY_BYTES = 16
"""Length of a pseudonym: the head of the HMAC."""


class Pseudonyms:
    """Of one tenant: the same person has the same one in every call, and another one in another tenant."""

    def __init__(self, key: bytes, tenant: str) -> None:
        self._hmac = hmac.new(key, tenant.encode() + b"\0", hashlib.sha256)
        self._people: dict[int, bytes] = {}

    def of_person(self, person_no: int) -> bytes:
        """The person's pseudonym; one who was erased and comes again has another."""
        known = self._people.get(person_no)
        if known is None:
            known = self._people[person_no] = self._digest(person_no.to_bytes(8, "big"))
        return known

    def of_token(self, token: str) -> bytes:
        """The pseudonym of the answer that gave out an attribution token."""
        return self._digest(b"request\0" + token.encode())

    def _digest(self, message: bytes) -> bytes:
        digest = self._hmac.copy()
        digest.update(message)
        return digest.digest()[:KEY_BYTES]


def load_pseudonym_key(configured: str, data: Path) -> bytes:
    """The configured key, else one that is made once and kept in ``<data>/keys``, readable by its owner alone."""
    if configured:
        return configured.encode()
    return kept_key(data, "pseudonym")
