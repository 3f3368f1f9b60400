"""Seals rows that stand in clear, and seals anew what older keys of the ring sealed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from services.profile.adapters.person_keys import Content, PersonKeys, place, sealed_content
from services.profile.adapters.postgres import Connection, Pool
from services.profile.adapters.postgres_register import bound
from services.profile.adapters.sealed_ids import EVENT, USER, VISITOR, SealedIds
from services.profile.errors import WrongRing
from services.profile.ports import SealingStore
from shared.postgres.queries import load_queries
from shared.privacy.key_ring import NUMBER_BYTES, KeyRing, Unsealable

_SQL = load_queries("services.profile.adapters", "sealing.sql")
_Rows = list[tuple[Any, ...]]
_IDS = {"people": USER, "visitors": VISITOR}
_CHECK = b"ring check"
_KEYED = ("people", "visitors", "person_keys", "subjects")


class PostgresSealing(SealingStore):
    """All sealed columns of the schema."""

    def __init__(self, pool: Pool, ring: KeyRing, ids: SealedIds, keys: PersonKeys) -> None:
        self._pool = pool
        self._ring = ring
        self._ids = ids
        self._keys = keys

    async def check(self) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_SQL.add_check, {"sealed": self._proof()})
            row = await (await connection.execute(_SQL.get_check)).fetchone()
        try:
            if row and self._ring.open(row[0], _CHECK) == self._ring.hash("", "", ""):
                return
        except Unsealable:
            pass
        raise WrongRing

    def _proof(self) -> bytes:
        """Opens with this ring alone: its keys, and its key of hashes."""
        return self._ring.seal(self._ring.hash("", "", ""), _CHECK)

    async def seal_ids(self, most: int) -> int:
        total = 0
        for table, kind in _IDS.items():
            async with self._pool.connection() as connection:
                rows = await _fetched(connection, f"{table}_in_clear", {"most": most})
                if rows:
                    await connection.execute(_SQL[f"seal_{table}"], self._sealed_ids(kind, rows))
            total += len(rows)
        return total

    async def seal_events(self, most: int) -> int:
        total = 0
        for table in ("events", "quarantine"):
            async with self._pool.connection() as connection:
                await connection.execute("SET LOCAL statement_timeout = 0")
                rows = await _fetched(connection, f"{table}_in_clear", {"most": most})
                if rows:
                    arguments = await self._sealed_events(connection, rows)
                    await connection.execute(_SQL.add_hashes, arguments)
                    await connection.execute(_SQL[f"seal_{table}"], arguments)
                    await connection.execute(_SQL.remove_keys, arguments)
            total += len(rows)
        return total

    @asynccontextmanager
    async def rotation(self) -> AsyncIterator[bool]:
        async with self._pool.connection() as connection:
            await connection.set_autocommit(True)
            row = await (await connection.execute(_SQL.lock_rotation)).fetchone()
            held = bool(row and row[0])
            try:
                yield held
            finally:
                if held and not connection.closed:
                    await connection.execute(_SQL.unlock_rotation)
                if not connection.closed:
                    await connection.set_autocommit(False)

    async def count_older(self) -> int:
        return await self._scalar(_SQL.count_older, {"current": self._current})

    async def reseal(self, most: int) -> AsyncIterator[int]:
        async with self._pool.connection() as connection:
            yield (await connection.execute(_SQL.set_check, {"sealed": self._proof()})).rowcount
        for table in _KEYED:
            last: tuple[str, Any] = ("", -1)
            while True:
                arguments = {"current": self._current, "tenant": last[0], "number": last[1], "most": most}
                async with self._pool.connection() as connection:
                    await connection.execute("SET LOCAL statement_timeout = 0")
                    rows = await _fetched(connection, f"older_{table}", arguments)
                    if rows:
                        await connection.execute(_SQL[f"reseal_{table}"], self._resealed(table, rows))
                if not rows:
                    break
                last = rows[-1][0], rows[-1][1]
                yield len(rows)

    async def last_erasure_s(self) -> int:
        return await self._scalar(_SQL.last_erasure, {})

    @property
    def _current(self) -> bytes:
        return self._ring.current.to_bytes(NUMBER_BYTES, "big")

    async def _scalar(self, query: str, arguments: dict[str, Any]) -> int:
        async with self._pool.connection() as connection:
            await connection.execute("SET LOCAL statement_timeout = 0")
            row = await (await connection.execute(query, arguments)).fetchone()
        return int(row[0] or 0) if row else 0

    def _sealed_ids(self, kind: str, rows: _Rows) -> dict[str, Any]:
        return {
            "tenants": [row[0] for row in rows],
            "numbers": [row[1] for row in rows],
            "hashes": [self._ids.hash(row[0], kind, row[2]) for row in rows],
            "sealed": [self._ids.seal(row[0], kind, row[2]) for row in rows],
        }

    async def _sealed_events(self, connection: Connection, rows: _Rows) -> dict[str, Any]:
        people: defaultdict[str, set[int]] = defaultdict(set)
        for row in rows:
            people[row[0]].add(row[3])
        keys = {
            (tenant, person): key
            for tenant, numbers in people.items()
            for person, key in (await self._keys.for_people(connection, tenant, numbers)).items()
        }
        used = [keys[row[0], row[3]] for row in rows]
        return {
            "tenants": [row[0] for row in rows],
            "times": [row[1] for row in rows],
            "numbers": [row[2] for row in rows],
            "ids": [row[4] for row in rows],
            "hashes": [self._ring.hash(row[0], EVENT, row[4]) for row in rows],
            "key_nos": [key.key_no for key in used],
            "contents": [sealed_content(key, _content(row)) for key, row in zip(used, rows, strict=True)],
        }

    def _resealed(self, table: str, rows: _Rows) -> dict[str, Any]:
        places: dict[str, Callable[[str, Any], bytes]] = {
            "people": lambda tenant, _: f"{USER}\0{tenant}".encode(),
            "visitors": lambda tenant, _: f"{VISITOR}\0{tenant}".encode(),
            "person_keys": lambda tenant, _: place(tenant),
            "subjects": bound,
        }
        where = places[table]
        return {
            "tenants": [row[0] for row in rows],
            "numbers": [row[1] for row in rows],
            "sealed": [
                self._ring.seal(self._ring.open(sealed, where(tenant, number)), where(tenant, number))
                for tenant, number, sealed in rows
            ],
        }


async def _fetched(connection: Connection, name: str, arguments: dict[str, Any]) -> _Rows:
    return await (await connection.execute(_SQL[name], arguments)).fetchall()


def _content(row: tuple[Any, ...]) -> Content:
    event_id, session_id, transaction_id, search_query, locale, attributes = row[4:]
    pairs = tuple((name, value) for name, value in attributes or ())
    return Content(event_id, session_id or "", transaction_id or "", search_query or "", locale or "", pairs)
