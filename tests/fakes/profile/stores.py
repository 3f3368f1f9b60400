"""All stores of the profile service in memory, over one set of rows."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field

from services.profile.domain.event import Event, EventType, Outcome
from services.profile.domain.history import History, HistoryEvent, HistoryLimits, Person, ProductInfo
from services.profile.domain.identity import Visitor, attribute
from services.profile.domain.robots import UNCOUNTED, Act, RobotRules, Suspicion, broken_rule, merged, suspicions
from services.profile.ports import (
    AttributedRequest,
    Catalog,
    EventChunk,
    EventDetails,
    EventQuery,
    EventState,
    EventStore,
    EventStream,
    ExportPart,
    Facts,
    FactsStore,
    PeopleReader,
    PrivacyStore,
    Receipt,
)
from shared.attribution.token import read_stored


@dataclass
class Row:
    number: int
    event: Event
    person: int
    rule: str = ""


@dataclass
class Human:
    user_id: str = ""
    version: int = 1
    span: Suspicion | None = None


@dataclass
class Tenant:
    rows: list[Row] = field(default_factory=list)
    people: dict[int, Human] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    visitors: dict[str, Visitor] = field(default_factory=dict)
    joins: dict[tuple[int, str], int] = field(default_factory=dict)
    facts: dict[str, Facts] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    facts_version: int = 0


class FakeStores(EventStore, PeopleReader, PrivacyStore, EventStream, FactsStore):
    """Every write is atomic because nothing in it awaits."""

    def __init__(self, rules: RobotRules | None = None) -> None:
        self.tenants_: defaultdict[str, Tenant] = defaultdict(Tenant)
        self._rules = rules or RobotRules()
        self._last = 0

    def _next(self) -> int:
        self._last += 1
        return self._last

    # events

    async def write(self, tenant: str, events: Sequence[Event]) -> list[Outcome]:
        data = self.tenants_[tenant]
        stored = {row.event.event_id for row in data.rows}
        fresh = sorted((event for event in events if event.event_id not in stored), key=lambda event: event.time_us)
        numbers = self._attribute(data, fresh)
        new = [Row(self._next(), event, person) for event, person in zip(fresh, numbers, strict=True)]
        buyers = {row.person for row in data.rows if row.event.event_type == EventType.PURCHASE and not row.rule}
        spans = self._judge(data, new)
        for row in new:
            known = row.person in buyers
            row.rule = broken_rule(row.event.event_type, row.event.time_us, spans[row.person], known)
            if row.event.event_type == EventType.PURCHASE and not row.rule:
                buyers.add(row.person)
            for product in row.event.product_ids:
                data.due.setdefault(product, len(data.due))
        data.rows += new
        for person in set(numbers):
            data.people[person].version += 1
        outcomes = {row.event.event_id: Outcome.QUARANTINED if row.rule else Outcome.STORED for row in new}
        return [outcomes.get(event.event_id, Outcome.DUPLICATE) for event in events]

    def _attribute(self, data: Tenant, events: Sequence[Event]) -> list[int]:
        for event in events:
            if event.user_id and event.user_id not in data.users:
                data.users[event.user_id] = self._next()
                data.people[data.users[event.user_id]] = Human(event.user_id)
            if event.visitor_id and event.visitor_id not in data.visitors:
                person = self._next()
                data.visitors[event.visitor_id] = Visitor(self._next(), person)
                data.people[person] = Human()
        found = attribute(events, data.visitors, data.users)
        names = {visitor.visitor_no: visitor_id for visitor_id, visitor in data.visitors.items()}
        for source, target in found.merges.items():
            for row in data.rows:
                row.person = target if row.person == source else row.person
            del data.people[source]
            data.people[target].version += 1
        data.visitors |= found.visitors
        for (person, visitor_no), time_us in found.joins.items():
            data.joins.setdefault((person, names[visitor_no]), time_us)
        return found.person_nos

    def _judge(self, data: Tenant, new: Sequence[Row]) -> dict[int, list[Suspicion]]:
        spans = {}
        for person in {row.person for row in new}:
            human = data.people[person]
            spans[person] = [human.span] if human.span else []
            own = [row.event for row in new if row.person == person]
            if all(event.event_type in UNCOUNTED for event in own):
                continue
            first = min(event.time_us for event in own) - self._rules.window_us
            last = max(event.time_us for event in own) + self._rules.window_us
            own += [row.event for row in data.rows if row.person == person and first <= row.event.time_us <= last]
            found = suspicions(
                [Act(event.time_us, event.event_type, event.product_ids[:1]) for event in own], self._rules
            )
            if found:
                spans[person] = merged([*spans[person], *found])
                human.span = spans[person][-1]
            for row in data.rows:
                if row.person == person and not row.rule and row.event.event_type != EventType.PURCHASE:
                    row.rule = broken_rule(row.event.event_type, row.event.time_us, found, known_buyer=True)
        return spans

    async def state(self, tenant: str) -> EventState:
        rows = self.tenants_[tenant].rows
        kept = [row for row in rows if not row.rule]
        return EventState(len(kept), len(rows) - len(kept), len({row.person for row in kept}))

    # people

    async def find(self, tenant: str, user_id: str, visitor_id: str) -> Person | None:
        data = self.tenants_[tenant]
        numbers = [data.users[user_id]] if user_id in data.users else []
        visitor = data.visitors.get(visitor_id)
        if visitor and visitor.person_no not in numbers and not (user_id and data.people[visitor.person_no].user_id):
            numbers.append(visitor.person_no)
        numbers = [number for number in numbers if any(row.person == number and not row.rule for row in data.rows)]
        return self._person(data, tuple(numbers)) if numbers else None

    def _person(self, data: Tenant, numbers: tuple[int, ...]) -> Person:
        rows = [row for row in data.rows if row.person in numbers and not row.rule]
        return Person(
            person_nos=numbers,
            versions=tuple(data.people[number].version for number in numbers),
            facts_version=data.facts_version,
            event_count=len(rows),
            last_event_time_us=max((row.event.time_us for row in rows), default=0),
            user_id=next((data.people[number].user_id for number in numbers if data.people[number].user_id), ""),
        )

    async def visitor_ids(self, tenant: str, person: Person) -> Sequence[str]:
        data = self.tenants_[tenant]
        joined = {visitor_id for number, visitor_id in data.joins if number in person.person_nos}
        own = {name for name, visitor in data.visitors.items() if visitor.person_no in person.person_nos}
        return tuple(sorted(joined | own))

    async def history(self, tenant: str, person: Person, limits: HistoryLimits) -> tuple[Person, History]:
        data = self.tenants_[tenant]
        rows = [row for row in data.rows if row.person in person.person_nos and not row.rule]
        rows.sort(key=lambda row: (row.event.time_us, row.number), reverse=True)
        purchases = [row for row in rows if row.event.event_type == EventType.PURCHASE][: limits.purchases]
        others = [row for row in rows if row.event.event_type != EventType.PURCHASE][: limits.others]
        chosen = [row for row in rows if row in purchases or row in others]
        ids = list(dict.fromkeys(product for row in chosen for product in row.event.product_ids))
        products = tuple(_info(product, data.facts.get(product)) for product in ids)
        events = tuple(_history_event(row, ids) for row in chosen)
        return self._person(data, person.person_nos), History(events, products)

    # privacy

    async def export(self, tenant: str, user_id: str, visitor_id: str) -> AsyncGenerator[ExportPart, None]:
        number = self._number(tenant, user_id, visitor_id)
        if number is not None:
            data = self.tenants_[tenant]
            rows = [row for row in data.rows if row.person == number]
            rows.sort(key=lambda row: (row.event.time_us, row.number))
            visitors = await self.visitor_ids(tenant, self._person(data, (number,)))
            yield ExportPart([row.event for row in rows], visitors)

    async def erase(self, tenant: str, user_id: str, visitor_id: str, receipt_id: str = "") -> Receipt:
        number, data = self._number(tenant, user_id, visitor_id), self.tenants_[tenant]
        own = [row for row in data.rows if row.person == number]
        apart = sum(1 for row in own if row.rule)
        joins = [key for key in data.joins if key[0] == number]
        for key in joins:
            del data.joins[key]
        records = apart + len(joins) + (number is not None)
        for name, visitor in list(data.visitors.items()):
            if visitor.person_no == number:
                heirs = [(time, person) for (person, joined), time in data.joins.items() if joined == name]
                if heirs:
                    time_us, heir = max(heirs)
                    data.visitors[name] = Visitor(visitor.visitor_no, heir, time_us)
                else:
                    del data.visitors[name]
                    records += 1
        data.rows = [row for row in data.rows if row.person != number]
        if number is not None:
            del data.people[number]
            data.users = {name: person for name, person in data.users.items() if person != number}
        return Receipt(receipt_id or f"receipt-{self._next()}", 0, len(own) - apart, records)

    def _number(self, tenant: str, user_id: str, visitor_id: str) -> int | None:
        data = self.tenants_[tenant]
        if user_id in data.users:
            return data.users[user_id]
        visitor = data.visitors.get(visitor_id)
        return visitor.person_no if visitor else None

    # stream

    async def read(self, tenant: str, query: EventQuery) -> AsyncGenerator[EventChunk, None]:
        rows = [
            row
            for row in self.tenants_[tenant].rows
            if not row.rule
            and row.event.product_ids
            and (not query.event_types or row.event.event_type in query.event_types)
            and (query.start_us is None or row.event.time_us >= query.start_us)
            and (query.end_us is None or row.event.time_us < query.end_us)
        ]
        rows.sort(key=lambda row: (row.event.time_us, row.number))
        total = sum(len(row.event.product_ids) for row in rows)
        groups: list[list[tuple[int, Row]]] = [[]]
        for number, row in enumerate(rows):
            size = sum(len(other.event.product_ids) for _, other in groups[-1])
            if groups[-1] and size + len(row.event.product_ids) > query.chunk_rows:
                groups.append([])
            groups[-1].append((number, row))
        for group in groups:
            yield _chunk(tenant, total, group, details=query.details)

    # facts

    async def tenants(self) -> Sequence[str]:
        return [name for name, data in self.tenants_.items() if data.due]

    async def claim(self, tenant: str, most: int) -> Mapping[str, int]:
        data = self.tenants_[tenant]
        claimed = dict(list(data.due.items())[:most])
        for product in claimed:
            del data.due[product]
        return claimed

    async def release(self, tenant: str, claimed: Mapping[str, int]) -> None:
        self.tenants_[tenant].due |= claimed

    async def save(self, tenant: str, claimed: Mapping[str, int], facts: Mapping[str, Facts]) -> int:
        data = self.tenants_[tenant]
        changed = {name: fact for name, fact in facts.items() if name in claimed and data.facts.get(name) != fact}
        data.facts |= changed
        data.facts_version += bool(changed)
        return len(changed)


class FakeCatalog(Catalog):
    """Knows what it is given; counts what it is asked; down while ``error`` is set."""

    def __init__(self, known: Mapping[str, Facts] | None = None) -> None:
        self.known = dict(known or {})
        self.asked: list[tuple[str, Sequence[str]]] = []
        self.error: Exception | None = None

    async def facts(self, tenant: str, product_ids: Sequence[str]) -> Mapping[str, Facts]:
        self.asked.append((tenant, tuple(product_ids)))
        if self.error:
            raise self.error
        return {product: self.known[product] for product in product_ids if product in self.known}


def _info(product_id: str, facts: Facts | None) -> ProductInfo:
    if facts is None:
        return ProductInfo(product_id)
    category = " > ".join(facts.category_path)
    return ProductInfo(product_id, category, facts.brand, facts.price_micros, facts.currency)


def _history_event(row: Row, ids: list[str]) -> HistoryEvent:
    event = row.event
    return HistoryEvent(
        event_no=row.number,
        time_us=event.time_us,
        event_type=event.event_type,
        products=[ids.index(product) for product in event.product_ids],
        quantities=event.quantities,
        price_micros=event.price_micros or None,
        currency=event.revenue_currency or next(filter(None, event.price_currencies), ""),
        revenue_micros=event.revenue_micros,
        rating=event.rating,
        session_id=event.session_id,
        search_query=event.search_query,
        category=event.category,
    )


def _chunk(tenant: str, total: int, group: Sequence[tuple[int, Row]], *, details: bool) -> EventChunk:
    people = list(dict.fromkeys(row.person for _, row in group))
    products = list(dict.fromkeys(product for _, row in group for product in row.event.product_ids))
    flat = [
        (number, row, product, quantity)
        for number, row in group
        for product, quantity in zip(row.event.product_ids, row.event.quantities, strict=True)
    ]
    return EventChunk(
        total_rows=total,
        user_keys=[hashlib.sha256(f"{tenant} {person}".encode()).digest()[:16] for person in people],
        product_ids=products,
        user_indexes=[people.index(row.person) for _, row, _, _ in flat],
        product_indexes=[products.index(product) for _, _, product, _ in flat],
        event_types=[row.event.event_type for _, row, _, _ in flat],
        times_s=[row.event.time_us // 1_000_000 for _, row, _, _ in flat],
        quantities=[quantity or 1 for _, _, _, quantity in flat],
        event_numbers=[number for number, _, _, _ in flat],
        details=_details(tenant, [row.event for _, row in group]) if details else None,
    )


def _details(tenant: str, events: Sequence[Event]) -> EventDetails:
    said = {event.attribution_token: read_stored(event.attribution_token) for event in events}
    shown = {token: read for token, read in said.items() if read and read.tenant == tenant}
    tokens, rows = list(shown), []
    for event in events:
        token = event.attribution_token
        for place, product in enumerate(event.product_ids):
            position = shown[token].position(product) if token in shown else None
            price = event.price_micros[place] if event.price_micros else None
            currency = event.price_currencies[place] if event.price_currencies else event.revenue_currency
            rows.append(
                (
                    tokens.index(token) if token in shown else -1,
                    -1 if position is None else position,
                    _share(event) if price is None else price,
                    currency or event.revenue_currency,
                    event.device,
                )
            )
    currencies = sorted({row[3] for row in rows if row[2] >= 0} - {""})
    return EventDetails(
        requests=[
            AttributedRequest(
                hashlib.sha256(token.encode()).digest()[:16], read.release_id, read.list_kind, read.time_s
            )
            for token, read in shown.items()
        ],
        request_indexes=[row[0] for row in rows],
        positions=[row[1] for row in rows],
        unit_price_micros=[row[2] for row in rows],
        currencies=currencies,
        currency_indexes=[currencies.index(row[3]) if row[2] >= 0 and row[3] else -1 for row in rows],
        devices=[row[4] for row in rows],
    )


def _share(event: Event) -> int:
    """The unit price of products without one."""
    if event.revenue_micros is None:
        return -1
    prices = event.price_micros or (None,) * len(event.product_ids)
    pairs = list(zip(prices, event.quantities, strict=True))
    left = event.revenue_micros - sum(price * quantity for price, quantity in pairs if price is not None)
    return max(left, 0) // sum(quantity for price, quantity in pairs if price is None)
