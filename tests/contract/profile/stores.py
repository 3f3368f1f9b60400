"""What every implementation of the profile service's ports keeps. Subclasses give the fixture ``stores``."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from services.profile.domain.event import Event, EventType, Outcome
from services.profile.domain.history import History, HistoryLimits
from services.profile.ports import (
    EventChunk,
    EventQuery,
    EventStore,
    EventStream,
    Facts,
    FactsStore,
    PeopleReader,
    PrivacyStore,
)
from shared.attribution.token import Attribution, TokenSigner, product_hash
from tests.fakes.profile.events import DAY_US, MINUTE_US, NOW_US, SECOND_US, event, purchase, view

T = "default"
STORED, DUPLICATE, QUARANTINED = Outcome.STORED, Outcome.DUPLICATE, Outcome.QUARANTINED
RICH = Event(
    event_id="rich",
    event_type=EventType.PURCHASE,
    time_us=NOW_US - 400 * DAY_US + 123_457,
    user_id="ü-1",
    visitor_id="v \\ \" ' 1",
    session_id="s{1}",
    product_ids=("p,1", 'p"2', "p\\3", "p,1"),
    quantities=(2, 1, 100_000, 3),
    price_micros=(1_500_000, None, 0, 999_999_999_999_999_999),
    price_currencies=("EUR", "", "USD", "EUR"),
    revenue_micros=12_345_678,
    revenue_currency="EUR",
    transaction_id="t\t1\n",
    attribution_token="a" * 4096,
    search_query="Äpfel; DROP TABLE",
    category="Küche > Töpfe",
    device=3,
    locale="de-DE",
    attributes=(("size", 'L"'), ("colour", "NULL")),
)


@dataclass(frozen=True)
class Stores:
    events: EventStore
    people: PeopleReader
    privacy: PrivacyStore
    stream: EventStream
    facts: FactsStore

    async def history(self, user_id: str = "", visitor_id: str = "", limits: HistoryLimits | None = None) -> History:
        person = await self.people.find(T, user_id, visitor_id)
        assert person is not None
        return (await self.people.history(T, person, limits or HistoryLimits()))[1]

    async def products_of(self, user_id: str = "", visitor_id: str = "") -> list[str]:
        """Newest first, one an event."""
        if await self.people.find(T, user_id, visitor_id) is None:
            return []
        history = await self.history(user_id, visitor_id)
        return [history.products[event.products[0]].product_id for event in history.events]

    async def exported(self, user_id: str = "", visitor_id: str = "") -> tuple[list[Event], list[str]]:
        parts = [part async for part in self.privacy.export(T, user_id, visitor_id)]
        return [item for part in parts for item in part.events], [name for part in parts for name in part.visitor_ids]

    async def chunks(self, query: EventQuery | None = None, tenant: str = T) -> list[EventChunk]:
        return [chunk async for chunk in self.stream.read(tenant, query or EventQuery())]


def rows_of(chunks: list[EventChunk]) -> list[tuple[bytes, str, int, int, int, int]]:
    return [
        (chunk.user_keys[user], chunk.product_ids[product], kind, time, quantity, number)
        for chunk in chunks
        for user, product, kind, time, quantity, number in zip(
            chunk.user_indexes,
            chunk.product_indexes,
            chunk.event_types,
            chunk.times_s,
            chunk.quantities,
            chunk.event_numbers,
            strict=True,
        )
    ]


def detailed_rows(chunks: list[EventChunk]) -> list[tuple[Any, ...]]:
    """Key, kind of list, release and time of the request, position, price, currency, device."""
    rows: list[tuple[Any, ...]] = []
    for chunk in chunks:
        details = chunk.details
        assert details is not None
        for number, position, price, currency, device in zip(
            details.request_indexes,
            details.positions,
            details.unit_price_micros,
            details.currency_indexes,
            details.devices,
            strict=True,
        ):
            request = details.requests[number] if number >= 0 else None
            said = (
                (request.request_key, request.list_kind, request.release_id, request.time_s) if request else (None,) * 4
            )
            rows.append((*said, position, price, details.currencies[currency] if currency >= 0 else "", device))
    return rows


def token_of(*products: str, tenant: str = T) -> str:
    """A token of a list of these products, the first in position 20."""
    shown = tuple(map(product_hash, products))
    return TokenSigner(b"k").sign(Attribution("request", tenant, "r1", "home", 1_800_000_000, shown, 20))


class WritingContract:
    async def test_each_event_has_its_outcome(self, stores: Stores) -> None:
        first, second = view("a", user_id="u"), view("b", user_id="u")
        assert await stores.events.write(T, [first]) == [STORED]
        assert await stores.events.write(T, [second, first]) == [STORED, DUPLICATE]
        assert await stores.events.write(T, [first, second]) == [DUPLICATE, DUPLICATE]
        state = await stores.events.state(T)
        assert (state.events, state.quarantined, state.people) == (2, 0, 1)

    async def test_an_id_is_a_duplicate_whatever_its_time_or_person(self, stores: Stores) -> None:
        await stores.events.write(T, [view("a", event_id="x", user_id="u")])
        again = view("b", event_id="x", user_id="other", at=NOW_US - 300 * DAY_US)
        assert await stores.events.write(T, [again]) == [DUPLICATE]
        assert await stores.people.find(T, "other", "") is None

    async def test_tenants_share_nothing(self, stores: Stores) -> None:
        item = view("a", event_id="x", user_id="u", visitor_id="v")
        assert await stores.events.write(T, [item]) == [STORED]
        assert await stores.events.write("other", [item]) == [STORED]
        await stores.privacy.erase("other", "u", "")
        assert await stores.products_of("u") == ["a"]
        assert (await stores.events.state("third")).events == 0

    async def test_concurrent_writers_of_one_id_store_it_once(self, stores: Stores) -> None:
        months = [NOW_US - month * 31 * DAY_US for month in range(8)]
        copies = [view("a", event_id="x", user_id=f"u-{index}", at=at) for index, at in enumerate(months)]
        outcomes = await asyncio.gather(*(stores.events.write(T, [copy]) for copy in copies))
        assert sorted(outcome.value for [outcome] in outcomes) == ["duplicate"] * 7 + ["stored"]
        assert (await stores.events.state(T)).events == 1

    async def test_overlapping_batches_in_opposite_order_all_finish(self, stores: Stores) -> None:
        def batch(turn: int) -> list[Event]:
            items = [
                view(f"p-{n}", event_id=f"e-{n}", user_id=f"u-{n % 7}", visitor_id=f"v-{n % 5}", at=NOW_US + n)
                for n in range(60)
            ]
            return items if turn % 2 else items[::-1]

        outcomes = await asyncio.gather(*(stores.events.write(T, batch(turn)) for turn in range(6)))
        flat = [outcome for listed in outcomes for outcome in listed]
        assert flat.count(STORED) == 60
        assert flat.count(DUPLICATE) == 300
        assert (await stores.events.state(T)).events == 60

    async def test_an_event_comes_back_as_it_was(self, stores: Stores) -> None:
        rated = replace(RICH, event_id="rated", event_type=EventType.RATE, rating=4.5, revenue_micros=None)
        rated = replace(rated, revenue_currency="", transaction_id="", price_micros=(), price_currencies=())
        plain = event(EventType.HOME_PAGE_VIEW, user_id="ü-1", at=RICH.time_us + 2)
        rated = replace(rated, time_us=RICH.time_us + 1)
        await stores.events.write(T, [RICH, rated, plain])
        assert await stores.exported("ü-1") == ([RICH, rated, plain], [RICH.visitor_id])


class IdentityContract:
    async def test_a_login_takes_over_what_the_visitor_did(self, stores: Stores) -> None:
        await stores.events.write(T, [view("a", visitor_id="v"), purchase("b", visitor_id="v", at=NOW_US + 1)])
        assert await stores.people.find(T, "u", "") is None
        await stores.events.write(T, [view("c", visitor_id="v", user_id="u", at=NOW_US + 2)])
        await stores.events.write(T, [view("d", visitor_id="v", at=NOW_US + 3)])
        assert await stores.products_of("u") == ["d", "c", "b", "a"]
        assert await stores.products_of(visitor_id="v") == ["d", "c", "b", "a"]
        person = await stores.people.find(T, "u", "")
        assert person is not None
        assert (person.event_count, person.last_event_time_us) == (4, NOW_US + 3)
        assert list(await stores.people.visitor_ids(T, person)) == ["v"]
        assert (await stores.events.state(T)).people == 1

    async def test_a_second_account_gets_only_what_follows(self, stores: Stores) -> None:
        for step, (product, user) in enumerate([("a", ""), ("b", "one"), ("c", ""), ("d", "two"), ("e", "")]):
            await stores.events.write(T, [view(product, visitor_id="v", user_id=user, at=NOW_US + step)])
        assert await stores.products_of("one") == ["c", "b", "a"]
        assert await stores.products_of("two") == ["e", "d"]
        assert await stores.products_of(visitor_id="v") == ["e", "d"]

    async def test_the_same_in_one_batch_in_any_order(self, stores: Stores) -> None:
        steps = enumerate([("a", ""), ("b", "one"), ("c", ""), ("d", "two"), ("e", "")])
        batch = [view(product, visitor_id="v", user_id=user, at=NOW_US + step) for step, (product, user) in steps]
        await stores.events.write(T, batch[::-1])
        assert await stores.products_of("one") == ["c", "b", "a"]
        assert await stores.products_of("two") == ["e", "d"]

    async def test_a_late_event_of_an_older_login_does_not_win(self, stores: Stores) -> None:
        await stores.events.write(T, [view("a", visitor_id="v", user_id="new", at=NOW_US)])
        await stores.events.write(T, [view("b", visitor_id="v", user_id="old", at=NOW_US - DAY_US)])
        await stores.events.write(T, [view("c", visitor_id="v", at=NOW_US + 1)])
        assert await stores.products_of("new") == ["c", "a"]
        assert await stores.products_of("old") == ["b"]
        assert (await stores.exported("old"))[1] == ["v"]
        await stores.privacy.erase(T, "new", "")
        assert await stores.products_of(visitor_id="v") == ["b"], "now the device of who is left"

    async def test_several_visitors_of_one_user(self, stores: Stores) -> None:
        await stores.events.write(T, [view("a", visitor_id="v1"), view("b", visitor_id="v2", at=NOW_US + 1)])
        logins = [
            view("c", visitor_id="v2", user_id="u", at=NOW_US + 2),
            view("d", visitor_id="v1", user_id="u", at=NOW_US + 3),
        ]
        await stores.events.write(T, logins)
        assert await stores.products_of("u") == ["d", "c", "b", "a"]
        assert (await stores.exported("u"))[1] == ["v1", "v2"]

    async def test_user_and_visitor_together(self, stores: Stores) -> None:
        await stores.events.write(T, [view("a", user_id="u"), view("b", visitor_id="v", at=NOW_US + 1)])
        await stores.events.write(T, [view("c", visitor_id="w", user_id="x", at=NOW_US + 2)])
        assert await stores.products_of("u", "v") == ["b", "a"]
        assert await stores.products_of("u", "w") == ["a"], "a device of somebody else"
        assert await stores.products_of("nobody", "v") == ["b"]
        assert await stores.people.find(T, "nobody", "w") is None
        assert await stores.people.find(T, "", "") is None

    async def test_concurrent_logins_and_events_lose_nothing(self, stores: Stores) -> None:
        writes = [
            stores.events.write(T, [view(f"p-{n}", visitor_id="v", user_id="u" if n % 3 == 2 else "", at=NOW_US + n)])
            for n in range(30)
        ]
        await asyncio.gather(*writes)
        assert await stores.products_of("u") == [f"p-{n}" for n in reversed(range(30))]
        assert (await stores.events.state(T)).people == 1


class RobotContract:
    async def test_a_flood_of_views_is_put_apart(self, stores: Stores) -> None:
        views = [view(f"p-{n}", visitor_id="bot", at=NOW_US + n * SECOND_US // 4) for n in range(100)]
        outcomes = [(await stores.events.write(T, [item]))[0] for item in views[:40]]
        assert set(outcomes) == {STORED}
        outcomes = await stores.events.write(T, views[40:])
        assert set(outcomes) == {QUARANTINED}
        state = await stores.events.state(T)
        assert (state.events, state.quarantined, state.people) == (0, 100, 0), "what it did before is put apart too"
        assert await stores.people.find(T, "", "bot") is None
        assert await stores.events.write(T, views[:1]) == [DUPLICATE]

    async def test_history_imported_at_once_is_no_robot(self, stores: Stores) -> None:
        views = [view(f"p-{n}", user_id="u", at=NOW_US - n * 7 * MINUTE_US) for n in range(400)]
        assert set(await stores.events.write(T, views)) == {STORED}

    async def test_a_buyer_keeps_purchases_under_suspicion(self, stores: Stores) -> None:
        await stores.events.write(T, [purchase("a", user_id="u", at=NOW_US - DAY_US)])
        flood = [view(f"p-{n}", user_id="u", at=NOW_US + n * SECOND_US // 4) for n in range(100)]
        assert set(await stores.events.write(T, flood)) == {QUARANTINED}
        later = NOW_US + 10 * MINUTE_US
        assert await stores.events.write(T, [purchase("b", user_id="u", at=later)]) == [STORED]
        assert await stores.events.write(T, [view("c", user_id="u", at=later)]) == [QUARANTINED]
        assert await stores.events.write(T, [view("d", user_id="u", at=later + DAY_US)]) == [STORED]
        assert await stores.products_of("u") == ["d", "b", "a"]


class ReadingContract:
    async def test_the_newest_events_within_the_limits(self, stores: Stores) -> None:
        batch = [purchase(f"b-{n}", user_id="u", at=NOW_US - n * DAY_US) for n in range(5)]
        batch += [view(f"v-{n}", user_id="u", at=NOW_US - n * DAY_US - 1) for n in range(5)]
        await stores.events.write(T, batch)
        history = await stores.history("u", limits=HistoryLimits(purchases=3, others=2))
        names = [history.products[item.products[0]].product_id for item in history.events]
        assert names == ["b-0", "v-0", "b-1", "v-1", "b-2"]

    async def test_every_change_has_a_new_version(self, stores: Stores) -> None:
        seen = set()
        for step, user in enumerate(["", "", "u", ""]):
            await stores.events.write(T, [view("a", visitor_id="v", user_id=user, at=NOW_US + step)])
            person = await stores.people.find(T, "", "v")
            assert person is not None
            read, _ = await stores.people.history(T, person, HistoryLimits())
            assert read == person
            seen.add((person.person_nos, person.versions))
        assert len(seen) == 4

    async def test_facts_come_with_the_products(self, stores: Stores) -> None:
        await stores.events.write(T, [purchase("a", "b", user_id="u")])
        before = await stores.people.find(T, "u", "")
        assert await stores.facts.tenants() == [T]
        claimed = await stores.facts.claim(T, 10)
        assert set(claimed) == {"a", "b"}
        assert await stores.facts.claim(T, 10) == {}
        await stores.facts.release(T, claimed)
        assert await stores.facts.claim(T, 10) == claimed
        facts = {"a": Facts(("Food", 'Mi"lk\\'), "Brand", 990_000, "USD")}
        assert await stores.facts.save(T, claimed, facts) == 1
        after = await stores.people.find(T, "u", "")
        assert before is not None and after is not None
        assert after.facts_version > before.facts_version
        history = await stores.history("u")
        infos = {info.product_id: info for info in history.products}
        assert (infos["a"].category, infos["a"].brand) == ('Food > Mi"lk\\', "Brand")
        assert (infos["a"].price_micros, infos["a"].currency) == (990_000, "USD")
        assert (infos["b"].category, infos["b"].price_micros) == ("", None)
        assert await stores.facts.save(T, claimed, facts) == 0
        assert await stores.people.find(T, "u", "") == after

    async def test_rows_for_learning(self, stores: Stores) -> None:
        batch = [
            purchase("b", "a", user_id="u", at=NOW_US + 3 * SECOND_US, quantities=(2, 3)),
            view("a", visitor_id="v", at=NOW_US + SECOND_US),
            event(EventType.HOME_PAGE_VIEW, user_id="u", at=NOW_US + 2 * SECOND_US),
            purchase("c", user_id="u", at=NOW_US - 40 * DAY_US),
        ]
        await stores.events.write(T, batch)
        chunks = await stores.chunks()
        rows = rows_of(chunks)
        assert chunks[0].total_rows == len(rows) == 4
        assert [row[1:] for row in rows] == [
            ("c", 9, (NOW_US - 40 * DAY_US) // SECOND_US, 1, 0),
            ("a", 3, NOW_US // SECOND_US + 1, 1, 1),
            ("b", 9, NOW_US // SECOND_US + 3, 2, 2),
            ("a", 9, NOW_US // SECOND_US + 3, 3, 2),
        ]
        assert rows[0][0] == rows[2][0] == rows[3][0] != rows[1][0]
        assert rows_of(await stores.chunks(EventQuery(chunk_rows=1))) == rows
        assert [len(chunk.times_s) for chunk in await stores.chunks(EventQuery(chunk_rows=3))] == [2, 2]
        bought = await stores.chunks(EventQuery((EventType.PURCHASE,), NOW_US, NOW_US + 3 * SECOND_US))
        assert [(chunk.total_rows, list(chunk.times_s)) for chunk in bought] == [(0, [])]
        assert rows_of(await stores.chunks(tenant="other")) == []

    async def test_rows_for_learning_with_details(self, stores: Stores) -> None:
        token, foreign = token_of("a", "b", "c"), token_of("a", tenant="other")
        at = {"user_id": "u", "device": 2}
        batch = [
            event(EventType.IMPRESSION, "a", "b", at=NOW_US, attribution_token=token, **at),
            event(EventType.CLICK, "b", at=NOW_US + 1, attribution_token=token, **at),
            purchase("b", "x", at=NOW_US + 2, attribution_token=token, price=2_000_000, **at),
            view("a", at=NOW_US + 3, attribution_token=foreign, user_id="u"),
            view("a", at=NOW_US + 4, attribution_token="no token", user_id="u"),
        ]
        await stores.events.write(T, batch)
        assert all(chunk.details is None for chunk in await stores.chunks())
        rows = detailed_rows(await stores.chunks(EventQuery(details=True)))
        shown = ("home", "r1", 1_800_000_000)
        assert [row[1:] for row in rows] == [
            (*shown, 20, -1, "", 2),
            (*shown, 21, -1, "", 2),
            (*shown, 21, -1, "", 2),
            (*shown, 21, 2_000_000, "USD", 2),
            (*shown, -1, 2_000_000, "USD", 2),
            (None, None, None, -1, -1, "", 0),
            (None, None, None, -1, -1, "", 0),
        ]
        keys = {row[0] for row in rows if row[0]}
        assert [len(key) for key in keys] == [16]
        assert detailed_rows(await stores.chunks(EventQuery(details=True, chunk_rows=1))) == rows

    async def test_who_was_erased_and_what_is_in_quarantine_is_not_learned_from(self, stores: Stores) -> None:
        flood = [view(f"p-{n}", visitor_id="robot", at=NOW_US + n) for n in range(100)]
        await stores.events.write(T, [purchase("a", user_id="u"), purchase("b", user_id="left"), *flood])
        assert len(rows_of(await stores.chunks())) == 2
        await stores.privacy.erase(T, "left", "")
        for details in (False, True):
            chunks = await stores.chunks(EventQuery(details=details))
            assert [row[1] for row in rows_of(chunks)] == ["a"]
            assert [len(chunk.user_keys) for chunk in chunks] == [1]

    async def test_products_without_a_price_share_what_the_others_leave(self, stores: Stores) -> None:
        bought = {"user_id": "u", "quantities": (2, 1, 3)}
        batch = [
            purchase(
                "a", "b", "c", at=NOW_US, revenue_micros=10_000_000, price_micros=(None, 1_000_000, None), **bought
            ),
            purchase("a", "b", "c", at=NOW_US + 1, price_micros=(), price_currencies=(), revenue_micros=6, **bought),
            view("a", at=NOW_US + 2, price_micros=(7,), price_currencies=("EUR",), user_id="u"),
        ]
        await stores.events.write(T, batch)
        rows = detailed_rows(await stores.chunks(EventQuery(details=True)))
        assert [row[5:7] for row in rows] == [
            (1_800_000, "USD"),
            (1_000_000, "USD"),
            (1_800_000, "USD"),
            *[(1, "USD")] * 3,
            (7, "EUR"),
        ]


class PrivacyContract:
    async def test_nothing_of_an_erased_person_is_left(self, stores: Stores) -> None:
        mine = [view("a", visitor_id="v"), purchase("b", user_id="u", visitor_id="v", at=NOW_US + 1)]
        await stores.events.write(T, [*mine, view("c", user_id="other")])
        receipt = await stores.privacy.erase(T, "u", "")
        assert (receipt.event_count, receipt.record_count) == (2, 3), "person, visitor, join"
        assert await stores.people.find(T, "u", "v") is None
        assert await stores.exported("u") == ([], [])
        assert await stores.products_of("other") == ["c"]
        again = await stores.privacy.erase(T, "u", "")
        assert (again.event_count, again.record_count) == (0, 0)
        assert again.receipt_id != receipt.receipt_id
        assert await stores.events.write(T, mine) == [STORED, STORED], "a new person"

    async def test_erasing_by_the_visitor_erases_the_user(self, stores: Stores) -> None:
        await stores.events.write(T, [view("a", user_id="u", visitor_id="v")])
        assert (await stores.privacy.erase(T, "", "v")).event_count == 1
        assert await stores.people.find(T, "u", "") is None

    async def test_a_shared_device_stays_with_who_is_left(self, stores: Stores) -> None:
        await stores.events.write(T, [view("a", user_id="one", visitor_id="v")])
        await stores.events.write(T, [view("b", user_id="two", visitor_id="v", at=NOW_US + 1)])
        await stores.privacy.erase(T, "two", "")
        await stores.events.write(T, [view("c", visitor_id="v", at=NOW_US + 2)])
        assert await stores.products_of("one") == ["c", "a"]
        assert (await stores.exported("one"))[1] == ["v"]

    async def test_quarantine_is_exported_and_erased(self, stores: Stores) -> None:
        flood = [view(f"p-{n}", visitor_id="bot", at=NOW_US + n * SECOND_US // 4) for n in range(100)]
        await stores.events.write(T, flood)
        assert (await stores.exported(visitor_id="bot"))[0] == flood
        receipt = await stores.privacy.erase(T, "", "bot")
        assert (receipt.event_count, receipt.record_count) == (0, 102)
        state = await stores.events.state(T)
        assert (state.events, state.quarantined) == (0, 0)

    async def test_writers_and_an_eraser_at_once(self, stores: Stores) -> None:
        async def write(number: int) -> None:
            await stores.events.write(T, [view("a", user_id="u", visitor_id="v", at=NOW_US + number)])

        receipts = []
        for round_number in range(4):
            work = [write(round_number * 10 + number) for number in range(6)]
            _, receipt = await asyncio.gather(asyncio.gather(*work), stores.privacy.erase(T, "u", ""))
            receipts.append(receipt.event_count)
        receipts.append((await stores.privacy.erase(T, "u", "")).event_count)
        assert sum(receipts) == 24
        assert await stores.exported("u", "v") == ([], [])


class StoresContract(WritingContract, IdentityContract, RobotContract, ReadingContract, PrivacyContract):
    """All of it."""
