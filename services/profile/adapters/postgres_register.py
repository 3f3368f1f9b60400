"""The register of erasures in PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from psycopg.types.json import Jsonb

from services.profile.adapters.postgres import Connection, Pool
from services.profile.adapters.postgres_privacy import find_person
from services.profile.adapters.pseudonyms import Pseudonyms
from services.profile.adapters.sealed_ids import USER, VISITOR, SealedIds
from services.profile.adapters.tombstones import Tombstones
from services.profile.domain.erasure import Erasure, Pending, PersonIds, StoreState
from services.profile.errors import ErasureNotFound
from services.profile.ports import ErasureRegister
from shared.postgres.queries import load_queries
from shared.privacy.key_ring import KeyRing

_SQL = load_queries("services.profile.adapters", "register.sql")
_FIRST_LEASE_SECONDS = 60
"""Who began an erasure works at it; nobody else does meanwhile."""


@dataclass(frozen=True, slots=True)
class RegisterKeys:
    """What the register seals, hashes and names people with."""

    ring: KeyRing
    ids: SealedIds
    pseudonyms: bytes


class PostgresErasureRegister(ErasureRegister):
    """The tables ``erasure_requests``, ``erasure_stores`` and ``tombstones``."""

    def __init__(self, pool: Pool, keys: RegisterKeys, tombstones: Tombstones, tombstone_days: int) -> None:
        self._pool = pool
        self._keys = keys.ring
        self._ids = keys.ids
        self._pseudonym_key = keys.pseudonyms
        self._tombstones = tombstones
        self._days = tombstone_days

    async def resolve(self, tenant: str, user_id: str, visitor_id: str) -> PersonIds:
        async with self._pool.connection() as connection:
            return await self._resolve(connection, tenant, user_id, visitor_id)

    async def begin(self, tenant: str, user_id: str, visitor_id: str, stores: Sequence[str]) -> Pending:
        async with self._pool.connection() as connection:
            await connection.execute("SET LOCAL statement_timeout = 0")
            await connection.execute(_SQL.lock_out, {"tenant": tenant})
            person = await self._resolve(connection, tenant, user_id, visitor_id)
            await self._tombstones.add(connection, tenant, person, self._days)
            subject_hash = self._subject_hash(tenant, person)
            key = {"tenant": tenant, "subject_hash": subject_hash}
            row = await (await connection.execute(_SQL.find_pending, key)).fetchone()
            if row is not None:
                receipt_id, person = row[0], self._opened(tenant, row[0], row[1])
            else:
                receipt_id = str(uuid.uuid4())
                subject = self._keys.seal(_packed(person), bound(tenant, receipt_id))
                request = {**key, "receipt_id": receipt_id, "subject": subject, "lease": _FIRST_LEASE_SECONDS}
                await connection.execute(_SQL.add_request, request)
            await connection.execute(
                _SQL.add_stores, {"tenant": tenant, "receipt_id": receipt_id, "stores": sorted(set(stores))}
            )
            return Pending(tenant, await _read(connection, tenant, receipt_id), person)

    async def claim(self, limit: int, lease_seconds: int) -> list[Pending]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL.claim, {"limit": limit, "lease": lease_seconds})
            return [
                Pending(tenant, await _read(connection, tenant, receipt_id), self._opened(tenant, receipt_id, subject))
                for tenant, receipt_id, subject in await cursor.fetchall()
            ]

    async def record(
        self, tenant: str, receipt_id: str, outcome: StoreState, sign: Callable[[Erasure], str]
    ) -> Erasure:
        key: Mapping[str, Any] = {"tenant": tenant, "receipt_id": receipt_id}
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL.lock_request, key)).fetchone()
            if row is None:
                raise ErasureNotFound(receipt_id)
            if not row[1]:
                await _record(connection, key, outcome)
                if (await connection.execute(_SQL.complete, key)).rowcount:
                    receipt = sign(await _read(connection, tenant, receipt_id))
                    await connection.execute(_SQL.save_receipt, {**key, "receipt": receipt})
            return await _read(connection, tenant, receipt_id)

    async def get(self, tenant: str, receipt_id: str) -> Erasure:
        async with self._pool.connection() as connection:
            return await _read(connection, tenant, receipt_id)

    async def _resolve(self, connection: Connection, tenant: str, user_id: str, visitor_id: str) -> PersonIds:
        """The person's ids; those given where nothing is stored."""
        given = PersonIds(user_id, (visitor_id,) if visitor_id else ())
        person_no = await find_person(connection, self._ids, tenant, (user_id, visitor_id))
        if person_no is None:
            return given
        row = await (await connection.execute(_SQL.own_ids, {"tenant": tenant, "person_no": person_no})).fetchone()
        if row is None:
            return given
        keys = (Pseudonyms(self._pseudonym_key, tenant).of_person(person_no),)
        visitors = sorted(self._ids.open(tenant, VISITOR, sealed) for sealed in row[1])
        return PersonIds(self._ids.open(tenant, USER, row[0]) or user_id, tuple(visitors), keys)

    def _subject_hash(self, tenant: str, person: PersonIds) -> bytes:
        if person.user_id:
            return self._ids.hash(tenant, USER, person.user_id)
        return self._ids.hash(tenant, VISITOR, person.visitor_ids[0])

    def _opened(self, tenant: str, receipt_id: str, subject: bytes) -> PersonIds:
        value = orjson.loads(self._keys.open(subject, bound(tenant, receipt_id)))
        return PersonIds(value["user"], tuple(value["visitors"]), tuple(map(bytes.fromhex, value["keys"])))


async def _read(connection: Connection, tenant: str, receipt_id: str) -> Erasure:
    key = {"tenant": tenant, "receipt_id": receipt_id}
    row = await (await connection.execute(_SQL.get_request, key)).fetchone()
    if row is None:
        raise ErasureNotFound(receipt_id)
    stores = await (await connection.execute(_SQL.get_stores, key)).fetchall()
    return Erasure(
        receipt_id=row[0],
        subject=row[1],
        request_us=row[2],
        complete_us=row[3],
        receipt=row[4],
        stores=tuple(
            StoreState(
                store=one[0],
                done=one[1],
                row_counts=one[2],
                notes=tuple(one[3]),
                attempts=one[4],
                failure=one[5],
                complete_us=one[6],
            )
            for one in stores
        ),
    )


async def _record(connection: Connection, key: Mapping[str, Any], outcome: StoreState) -> None:
    if not outcome.done:
        await connection.execute(_SQL.record_failure, {**key, "store": outcome.store, "failure": outcome.failure})
        return
    counts, notes = Jsonb(dict(outcome.row_counts)), Jsonb(list(outcome.notes))
    await connection.execute(_SQL.record_done, {**key, "store": outcome.store, "row_counts": counts, "notes": notes})


def _packed(person: PersonIds) -> bytes:
    keys = [key.hex() for key in person.person_keys]
    return orjson.dumps({"user": person.user_id, "visitors": person.visitor_ids, "keys": keys})


def bound(tenant: str, receipt_id: str) -> bytes:
    """Where the sealed ids of an erasure are bound to."""
    return f"erasure\0{tenant}\0{receipt_id}".encode()
