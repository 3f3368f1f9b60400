"""Data keys of people, and what is sealed by them: the contents of events.

A key is random, belongs to one person and is stored sealed by the ring. Erasing the person deletes it; once the ring's
key of that time is destroyed too, no copy of the contents, wherever it lies, can be read any more.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.profile.adapters.postgres import Connection
from services.profile.domain.event import Event
from shared.postgres.queries import load_queries
from shared.privacy.key_ring import KeyRing, Unsealable

_SQL = load_queries("services.profile.adapters", "keys.sql")
_KEYS_KEPT = 50_000
_KEY_BYTES, _NONCE_BYTES = 32, 12


@dataclass(frozen=True, slots=True)
class DataKey:
    """One key of one person."""

    key_no: int
    cipher: AESGCM


@dataclass(frozen=True, slots=True)
class Content:
    """What identifies people, or may: ids that the shop gave, and free text."""

    event_id: str = ""
    session_id: str = ""
    transaction_id: str = ""
    search_query: str = ""
    locale: str = ""
    attributes: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, event: Event) -> Content:
        """Of an event that is to be stored."""
        return cls(
            event.event_id, event.session_id, event.transaction_id, event.search_query, event.locale, event.attributes
        )


class PersonKeys:
    """Reads and makes keys inside the caller's transaction; keeps those in use in memory.

    A key in memory is never used for somebody else: its person's number is locked by who writes, and is never given
    again after an erasure.
    """

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._by_person: dict[tuple[str, int], DataKey] = {}
        self._by_number: dict[tuple[str, int], AESGCM] = {}

    async def for_people(self, connection: Connection, tenant: str, person_nos: Iterable[int]) -> dict[int, DataKey]:
        """A key of each person, made where there is none. Their rows are locked against erasure."""
        wanted = set(person_nos)
        found = {number: key for number in wanted if (key := self._by_person.get((tenant, number))) is not None}
        if missing := sorted(wanted - found.keys()):
            cursor = await connection.execute(_SQL.find_keys, {"tenant": tenant, "person_nos": missing}, binary=True)
            stored = {person: (key_no, sealed) for person, key_no, sealed in await cursor.fetchall()}
            if new := [number for number in missing if number not in stored]:
                stored |= await self._make(connection, tenant, new)
            for person, (key_no, sealed) in stored.items():
                found[person] = self._remembered(tenant, person, DataKey(key_no, self._opened(tenant, sealed)))
        return found

    async def for_numbers(
        self, connection: Connection, tenant: str, key_nos: Iterable[int | None]
    ) -> dict[int, AESGCM]:
        """Keys by their numbers. Those of erased people are missing."""
        wanted = {number for number in key_nos if number is not None}
        found = {number: cipher for number in wanted if (cipher := self._by_number.get((tenant, number))) is not None}
        if missing := sorted(wanted - found.keys()):
            cursor = await connection.execute(_SQL.read_keys, {"tenant": tenant, "key_nos": missing}, binary=True)
            for key_no, sealed in await cursor.fetchall():
                self._make_room()
                found[key_no] = self._by_number[tenant, key_no] = self._opened(tenant, sealed)
        return found

    def forget(self) -> None:
        """Drops all keys from memory."""
        self._by_person.clear()
        self._by_number.clear()

    async def _make(
        self, connection: Connection, tenant: str, person_nos: Sequence[int]
    ) -> dict[int, tuple[int, bytes]]:
        sealed = [self._ring.seal(os.urandom(_KEY_BYTES), place(tenant)) for _ in person_nos]
        arguments = {"tenant": tenant, "person_nos": list(person_nos), "sealed": sealed}
        cursor = await connection.execute(_SQL.add_keys, arguments, binary=True)
        return {person: (key_no, key) for person, key_no, key in await cursor.fetchall()}

    def _opened(self, tenant: str, sealed: bytes) -> AESGCM:
        return AESGCM(self._ring.open(sealed, place(tenant)))

    def _remembered(self, tenant: str, person_no: int, key: DataKey) -> DataKey:
        self._make_room()
        self._by_person[tenant, person_no] = key
        self._by_number[tenant, key.key_no] = key.cipher
        return key

    def _make_room(self) -> None:
        """Keys are read again when they are wanted: nobody's is in memory for long in a shop of many people."""
        if max(len(self._by_person), len(self._by_number)) >= _KEYS_KEPT:
            self.forget()


def place(tenant: str) -> bytes:
    """Where a data key is bound to."""
    return f"person key\0{tenant}".encode()


def sealed_content(key: DataKey, content: Content) -> bytes:
    """The content of one event: nonce, ciphertext with tag."""
    nonce = os.urandom(_NONCE_BYTES)
    text = orjson.dumps(
        [
            content.event_id,
            content.session_id,
            content.transaction_id,
            content.search_query,
            content.locale,
            content.attributes,
        ]
    )
    return nonce + key.cipher.encrypt(nonce, text, key.key_no.to_bytes(8, "big"))


def opened_content(cipher: AESGCM, key_no: int, sealed: bytes) -> Content:
    """The content of one event. Raises Unsealable."""
    try:
        text = cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], key_no.to_bytes(8, "big"))
    except (InvalidTag, ValueError):
        raise Unsealable("the content of an event was changed, or was sealed by another key") from None
    event_id, session_id, transaction_id, search_query, locale, attributes = orjson.loads(text)
    pairs = tuple((name, value) for name, value in attributes)
    return Content(event_id, session_id, transaction_id, search_query, locale, pairs)
