"""One batch inside its transaction: ids, people, robot rules, rows, counters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.profile.adapters.identities import Change, Identities, PersonState, Resolved
from services.profile.adapters.moments import literal
from services.profile.adapters.person_keys import Content, DataKey, PersonKeys, sealed_content
from services.profile.adapters.postgres import Connection
from services.profile.adapters.rows import StoredEvent, insert_arguments
from services.profile.adapters.sealed_ids import SealedIds
from services.profile.adapters.tombstones import Tombstones
from services.profile.domain.event import Event, EventType, Outcome
from services.profile.domain.robots import UNCOUNTED, Act, RobotRules, Suspicion, broken_rule, merged, suspicions
from shared.postgres.queries import load_queries

_SQL = load_queries("services.profile.adapters", "write.sql")


@dataclass(frozen=True, slots=True)
class BatchParts:
    """What all batches share."""

    rules: RobotRules
    ids: SealedIds
    keys: PersonKeys
    tombstones: Tombstones


class Batch:
    """Written once; the connection's transaction is committed by who opened it."""

    def __init__(
        self, connection: Connection, tenant: str, products: Mapping[str, int], parts: BatchParts, *, exclusive: bool
    ) -> None:
        self._connection = connection
        self._tenant = tenant
        self._products = products
        self._rules = parts.rules
        self._tombstones = parts.tombstones
        self._ids = parts.ids
        self._keys = parts.keys
        self._exclusive = exclusive
        self._hashes: dict[str, bytes] = {}

    async def write(self, events: Sequence[Event]) -> list[Outcome]:
        """Stores the events whose ids are new and whose people were not erased since. Raises ConcurrentChange."""
        erased = await self._tombstones.erased(self._connection, self._tenant, events)
        outcomes = dict.fromkeys(erased, Outcome.ERASED)
        if fresh := await self._fresh([event for event in events if event.event_id not in erased]):
            outcomes |= await self._write_fresh(fresh)
        return [outcomes.get(event.event_id, Outcome.DUPLICATE) for event in events]

    async def _write_fresh(self, fresh: list[Event]) -> dict[str, Outcome]:
        fresh.sort(key=lambda event: event.time_us)
        identities = Identities(self._connection, self._tenant, self._ids, exclusive=self._exclusive)
        resolved = await identities.resolve(fresh)
        spans = await self._suspicions(fresh, resolved)
        keys = await self._keys.for_people(self._connection, self._tenant, resolved.person_nos)
        rows = self._rows(fresh, resolved, spans, keys)
        await self._store(rows, resolved)
        return {row.event.event_id: Outcome.QUARANTINED if row.rule else Outcome.STORED for row in rows}

    async def _fresh(self, events: Sequence[Event]) -> list[Event]:
        """Those whose ids were not stored before; records the ids."""
        names = self._ids.event_hashes(self._tenant, (event.event_id for event in events))
        arguments = {"tenant": self._tenant, "hashes": list(names), "ids": list(names.values())}
        cursor = await self._connection.execute(_SQL.add_keys, arguments)
        new = {names[hashed]: hashed for (hashed,) in await cursor.fetchall()}
        self._hashes |= new
        return [event for event in events if event.event_id in new]

    async def _suspicions(self, events: Sequence[Event], resolved: Resolved) -> dict[int, list[Suspicion]]:
        """By person the spans under suspicion; puts what was stored in newly found spans in quarantine."""
        spans = {
            person_no: [state.suspicion]
            for person_no, state in resolved.people.items()
            if state.suspicion and not state.trusted
        }
        acts = self._new_acts(events, resolved) if self._rules.enabled else {}
        if acts:
            for person_no, stored in (await self._stored_acts(acts)).items():
                acts[person_no].extend(stored)
        found = {person_no: suspicions(listed, self._rules) for person_no, listed in acts.items()}
        found = {person_no: listed for person_no, listed in found.items() if listed}
        if found:
            await self._quarantine_stored(found, resolved)
        for person_no, listed in found.items():
            spans[person_no] = merged([*spans.get(person_no, []), *listed])
            resolved.changes.setdefault(person_no, Change()).suspicion = spans[person_no][-1]
        return spans

    def _new_acts(self, events: Sequence[Event], resolved: Resolved) -> dict[int, list[Act]]:
        """By person what is new, for those with anything that the rules count."""
        acts: defaultdict[int, list[Act]] = defaultdict(list)
        counted: set[int] = set()
        for event, person_no in zip(events, resolved.person_nos, strict=True):
            if resolved.people[person_no].trusted:
                continue
            product = self._products[event.product_ids[0]] if event.product_ids else None
            acts[person_no].append(Act(event.time_us, event.event_type, product))
            if event.event_type not in UNCOUNTED:
                counted.add(person_no)
        return {person_no: acts[person_no] for person_no in counted}

    async def _stored_acts(self, acts: Mapping[int, Sequence[Act]]) -> dict[int, list[Act]]:
        """What each person did around the new events."""
        window = self._rules.window_us
        starts = [min(act.time_us for act in listed) - window for listed in acts.values()]
        ends = [max(act.time_us for act in listed) + window for listed in acts.values()]
        arguments = {
            "tenant": self._tenant,
            "person_nos": list(acts),
            "from_us": starts,
            "to_us": ends,
            "first": literal(min(starts)),
            "last": literal(max(ends)),
        }
        stored: defaultdict[int, list[Act]] = defaultdict(list)
        cursor = await self._connection.execute(_SQL.recent_acts, arguments)
        for person_no, time_us, event_type, product in await cursor.fetchall():
            stored[person_no].append(Act(time_us, event_type, product))
        return stored

    async def _quarantine_stored(self, found: Mapping[int, Sequence[Suspicion]], resolved: Resolved) -> None:
        """Moves what a robot did before it was recognised."""
        flat = [(person_no, span) for person_no, spans in found.items() for span in spans]
        cursor = await self._connection.execute(
            _SQL.quarantine_stored,
            {
                "tenant": self._tenant,
                "person_nos": [person_no for person_no, _ in flat],
                "from_us": [span.start_us for _, span in flat],
                "to_us": [span.end_us for _, span in flat],
                "rules": [span.rule for _, span in flat],
            },
        )
        for person_no, count in await cursor.fetchall():
            resolved.changes.setdefault(person_no, Change()).events -= count

    def _rows(
        self,
        events: Sequence[Event],
        resolved: Resolved,
        spans: Mapping[int, Sequence[Suspicion]],
        keys: Mapping[int, DataKey],
    ) -> list[StoredEvent]:
        """The rows, oldest first; counts what is not quarantined."""
        rows: list[StoredEvent] = []
        columns = zip(events, resolved.person_nos, resolved.visitor_nos, strict=True)
        for event, person_no, visitor_no in columns:
            person = resolved.people[person_no]
            rule = ""
            if person_no in spans:
                rule = broken_rule(event.event_type, event.time_us, spans[person_no], person.purchase_count > 0)
            products = [self._products[product_id] for product_id in event.product_ids]
            key, hashed = keys[person_no], self._hashes[event.event_id]
            content = sealed_content(key, Content.of(event))
            rows.append(StoredEvent(event, person_no, visitor_no, products, hashed, key.key_no, content, rule))
            change = resolved.changes.setdefault(person_no, Change())
            if not rule:
                _count(event, person, change)
        return rows

    async def _store(self, rows: Sequence[StoredEvent], resolved: Resolved) -> None:
        """Writes rows and counters in one round trip."""
        kept = [row for row in rows if not row.rule]
        apart = [row for row in rows if row.rule]
        changes = sorted(resolved.changes.items())
        arguments = {
            "tenant": self._tenant,
            "person_nos": [person_no for person_no, _ in changes],
            "events": [change.events for _, change in changes],
            "purchases": [change.purchases for _, change in changes],
            "last_us": [change.last_us for _, change in changes],
            "suspect_from_us": [change.suspicion and change.suspicion.start_us for _, change in changes],
            "suspect_until_us": [change.suspicion and change.suspicion.end_us for _, change in changes],
        }
        async with self._connection.pipeline():
            if kept:
                await self._connection.execute(_SQL.insert_events, insert_arguments(self._tenant, kept))
            if apart:
                await self._connection.execute(_SQL.insert_quarantine, insert_arguments(self._tenant, apart))
            await self._connection.execute(_SQL.lock_people, arguments)
            await self._connection.execute(_SQL.update_people, arguments)


def _count(event: Event, person: PersonState, change: Change) -> None:
    """Adds an event that counts."""
    change.events += 1
    change.saw(event.time_us)
    if event.event_type == EventType.PURCHASE:
        change.purchases += 1
        person.purchase_count += 1
