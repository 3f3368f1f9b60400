"""Resolves users and visitors of a batch inside its transaction, with the locks that keep the answer true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.profile.adapters.postgres import Connection
from services.profile.adapters.sealed_ids import USER, VISITOR, SealedIds
from services.profile.domain.event import Event
from services.profile.domain.identity import Attribution, Visitor, attribute
from services.profile.domain.robots import Suspicion
from services.profile.errors import ConcurrentChange
from shared.postgres.queries import load_queries

_SQL = load_queries("services.profile.adapters", "write.sql")


@dataclass(slots=True)
class PersonState:
    """What the rules need of a stored person."""

    person_no: int
    purchase_count: int
    trusted: bool
    suspicion: Suspicion | None = None


@dataclass(slots=True)
class Change:
    """What a batch adds to one person."""

    events: int = 0
    purchases: int = 0
    last_us: int | None = None
    suspicion: Suspicion | None = None

    def saw(self, time_us: int | None) -> None:
        """Moves the latest event forward."""
        if time_us is not None:
            self.last_us = time_us if self.last_us is None else max(self.last_us, time_us)


@dataclass(frozen=True, slots=True)
class Resolved:
    """Whose the events are."""

    person_nos: Sequence[int]
    visitor_nos: Sequence[int | None]
    people: dict[int, PersonState]
    changes: dict[int, Change]
    """Of joins: what users took over from anonymous people."""


class Identities:
    """One batch of one tenant. Locks are taken in the order visitors, users, other people; each sorted."""

    def __init__(self, connection: Connection, tenant: str, ids: SealedIds, *, exclusive: bool) -> None:
        self._connection = connection
        self._tenant = tenant
        self._ids = ids
        self._exclusive = exclusive
        self._owned: set[str] = set()
        self._made: set[int] = set()
        self._people: dict[int, PersonState] = {}

    async def resolve(self, events: Sequence[Event]) -> Resolved:
        """Makes who is new and joins who logged in.

        Raises ConcurrentChange when a visitor must be joined whose row is not locked exclusively.
        """
        visitors = await self._visitors(sorted({event.visitor_id for event in events} - {""}))
        users = await self._users(sorted({event.user_id for event in events} - {""}))
        attribution = attribute(events, visitors, users)
        if not attribution.visitors.keys() <= self._owned:
            raise ConcurrentChange("a visitor logs in")
        others = sorted(set(attribution.person_nos) - self._people.keys())
        if others:
            await self._lock(_SQL.find_people, {"tenant": self._tenant, "person_nos": others})
        changes = await self._join(attribution)
        return Resolved(
            person_nos=attribution.person_nos,
            visitor_nos=[visitors[event.visitor_id].visitor_no if event.visitor_id else None for event in events],
            people=self._people,
            changes=changes,
        )

    async def _visitors(self, ids: list[str]) -> dict[str, Visitor]:
        """Visitors by id; new ones with a new anonymous person."""
        query = _SQL.find_visitors_exclusive if self._exclusive else _SQL.find_visitors_shared
        found: dict[str, Visitor] = {}
        names = missing = self._ids.hashes(self._tenant, VISITOR, ids)
        while missing:
            cursor = await self._connection.execute(query, {"tenant": self._tenant, "hashes": list(missing)})
            rows = await cursor.fetchall()
            found |= {names[hashed]: Visitor(number, person, join) for hashed, number, person, join in rows}
            self._owned |= {names[row[0]] for row in rows} if self._exclusive else set()
            missing = {hashed: visitor_id for hashed, visitor_id in missing.items() if visitor_id not in found}
            if missing:
                cursor = await self._connection.execute(_SQL.add_visitors, self._sealed(VISITOR, missing))
                made = await cursor.fetchall()
                found |= {names[hashed]: Visitor(number, person) for hashed, number, person in made}
                self._owned |= {names[row[0]] for row in made}
                self._made |= {row[2] for row in made}
                missing = {hashed: visitor_id for hashed, visitor_id in missing.items() if visitor_id not in found}
        return found

    async def _users(self, ids: list[str]) -> dict[str, int]:
        """Numbers of users, made where new."""
        found: dict[str, int] = {}
        names = missing = self._ids.hashes(self._tenant, USER, ids)
        while missing:
            numbers = await self._lock(_SQL.find_users, {"tenant": self._tenant, "hashes": list(missing)})
            found |= {names[hashed]: number for hashed, number in numbers.items() if hashed}
            missing = {hashed: user_id for hashed, user_id in missing.items() if user_id not in found}
            if missing:
                await self._connection.execute(_SQL.add_users, self._sealed(USER, missing))
        return found

    def _sealed(self, kind: str, names: dict[bytes, str]) -> dict[str, object]:
        sealed = [self._ids.seal(self._tenant, kind, name) for name in names.values()]
        return {"tenant": self._tenant, "hashes": list(names), "sealed": sealed}

    async def _lock(self, query: str, arguments: dict[str, object]) -> dict[bytes | None, int]:
        """Reads people and keeps them from being erased; returns their numbers by the hash of their user id."""
        cursor = await self._connection.execute(query, arguments)
        numbers: dict[bytes | None, int] = {}
        for hashed, person_no, purchases, trusted, start_us, end_us in await cursor.fetchall():
            span = None if start_us is None else Suspicion(start_us, end_us, "suspect")
            self._people[person_no] = PersonState(person_no, purchases, trusted, span)
            numbers[hashed] = person_no
        return numbers

    async def _join(self, attribution: Attribution) -> dict[int, Change]:
        """Carries out joins; returns what the users took over."""
        changes: dict[int, Change] = {}
        if attribution.merges:
            changes = await self._merge(attribution.merges)
        if attribution.visitors:
            states = list(attribution.visitors.values())
            await self._connection.execute(
                _SQL.update_visitors,
                {
                    "tenant": self._tenant,
                    "visitor_nos": [state.visitor_no for state in states],
                    "person_nos": [state.person_no for state in states],
                    "join_times_us": [state.join_time_us for state in states],
                },
            )
        if joins := sorted(attribution.joins.items()):
            await self._connection.execute(
                _SQL.add_joins,
                {
                    "tenant": self._tenant,
                    "person_nos": [person_no for (person_no, _), _ in joins],
                    "visitor_nos": [visitor_no for (_, visitor_no), _ in joins],
                    "join_times_us": [time_us for _, time_us in joins],
                },
            )
        return changes

    async def _merge(self, merges: dict[int, int]) -> dict[int, Change]:
        """Moves all events of anonymous people to users. Those made by this batch have none yet."""
        stored = {source: target for source, target in merges.items() if source not in self._made}
        if stored:
            arguments = {"tenant": self._tenant, "sources": list(stored), "targets": list(stored.values())}
            for query in (_SQL.join_purchases, _SQL.join_others, _SQL.join_quarantine, _SQL.join_keys):
                await self._connection.execute(query, arguments)
        cursor = await self._connection.execute(
            _SQL.remove_anonymous, {"tenant": self._tenant, "sources": list(merges)}
        )
        changes: dict[int, Change] = {}
        for person_no, events, purchases, last_us in await cursor.fetchall():
            target = merges[person_no]
            change = changes.setdefault(target, Change())
            change.events += events
            change.purchases += purchases
            change.saw(last_us)
            self._people[target].purchase_count += purchases
            self._people.pop(person_no, None)
        return changes
