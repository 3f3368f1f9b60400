"""Who was erased: keyed hashes of ids, so that late events of theirs stay out and no id stands anywhere in clear."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from services.profile.adapters.postgres import Connection
from services.profile.adapters.sealed_ids import USER, VISITOR, SealedIds
from services.profile.domain.erasure import PersonIds
from services.profile.domain.event import Event
from shared.postgres.queries import load_queries

_SQL = load_queries("services.profile.adapters", "register.sql")
_NEVER = -1 << 63


class Tombstones:
    """Looks ids up inside the transaction that writes their events."""

    def __init__(self, ids: SealedIds) -> None:
        self._ids = ids

    async def erased(self, connection: Connection, tenant: str, events: Sequence[Event]) -> set[str]:
        """Ids of the events from before their person was erased. An erasure that begins now waits for the commit."""
        users = {user: self._ids.hash(tenant, USER, user) for user in {event.user_id for event in events} - {""}}
        seen = {event.visitor_id for event in events} - {""}
        visitors = {one: self._ids.hash(tenant, VISITOR, one) for one in seen}
        async with connection.pipeline():
            await connection.execute(_SQL.lock_in, {"tenant": tenant})
            # A statement of its own after the lock: it must see what committed while this one waited.
            cursor = await connection.execute(
                _SQL.find_tombstones, {"tenant": tenant, "hashes": [*users.values(), *visitors.values()]}, binary=True
            )
        until: dict[bytes, int] = dict(await cursor.fetchall())
        if not until:
            return set()

        def erased_us(event: Event) -> int:
            hashes = (users.get(event.user_id, b""), visitors.get(event.visitor_id, b""))
            return max(until.get(one, _NEVER) for one in hashes)

        return {event.event_id for event in events if event.time_us <= erased_us(event)}

    async def add(self, connection: Connection, tenant: str, person: PersonIds, days: int) -> None:
        """Keeps a person's events from before now out."""
        hashes = [self._ids.hash(tenant, VISITOR, one) for one in person.visitor_ids]
        if person.user_id:
            hashes.append(self._ids.hash(tenant, USER, person.user_id))
        await connection.execute(_SQL.add_tombstones, {"tenant": tenant, "hashes": _distinct(hashes), "days": days})


def _distinct(hashes: Iterable[bytes]) -> list[Any]:
    return sorted(set(hashes))
