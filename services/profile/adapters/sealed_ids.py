"""Ids of people as keyed hashes, to be found by, and sealed, to be shown."""

from __future__ import annotations

from collections.abc import Iterable

from shared.privacy.key_ring import KeyRing

_HASHES_KEPT = 50_000
USER, VISITOR, EVENT = "user", "visitor", "event"
"""Kinds of ids: equal texts of different kinds have different hashes."""


class SealedIds:
    """Hashes, seals and opens ids with the ring's keys."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._hashes: dict[tuple[str, str, str], bytes] = {}

    def hash(self, tenant: str, kind: str, value: str) -> bytes:
        """The keyed hash of an id; those in use are remembered."""
        key = (tenant, kind, value)
        known = self._hashes.get(key)
        if known is None:
            if len(self._hashes) >= _HASHES_KEPT:
                self._hashes.clear()
            known = self._hashes[key] = self._ring.hash(*key)
        return known

    def hashes(self, tenant: str, kind: str, values: Iterable[str]) -> dict[bytes, str]:
        """Ids by their hashes, sorted by hash: the order in which all writers lock."""
        return dict(sorted((self.hash(tenant, kind, value), value) for value in values))

    def event_hashes(self, tenant: str, event_ids: Iterable[str]) -> dict[bytes, str]:
        """As ``hashes``; ids of events are not remembered, because they rarely come again."""
        return dict(sorted((self._ring.hash(tenant, EVENT, event_id), event_id) for event_id in event_ids))

    def seal(self, tenant: str, kind: str, value: str) -> bytes:
        """An id, readable for who has the ring."""
        return self._ring.seal(value.encode(), _place(tenant, kind))

    def open(self, tenant: str, kind: str, sealed: bytes | None) -> str:
        """The id; empty where there is none. Raises Unsealable."""
        return self._ring.open(sealed, _place(tenant, kind)).decode() if sealed else ""

    def resealed(self, tenant: str, kind: str, sealed: bytes) -> bytes:
        """Sealed by the current key instead. Raises Unsealable."""
        return self._ring.seal(self._ring.open(sealed, _place(tenant, kind)), _place(tenant, kind))


def _place(tenant: str, kind: str) -> bytes:
    return f"{kind}\0{tenant}".encode()
