"""Random histories end the same on PostgreSQL and in memory."""

import random

import pytest

from services.profile.domain.event import DAY_US, MINUTE_US, Event
from tests.contract.profile.stores import Stores, T
from tests.fakes.profile.events import NOW_US, purchase, view
from tests.fakes.profile.stores import FakeStores
from tests.integration.profile.test_stores import open_stores

USERS, VISITORS = ["", "u1", "u2", "u3"], ["", "v1", "v2", "v3", "v4"]


def batch(choose: random.Random, turn: int) -> list[Event]:
    """Some events; now and then an id used before, an old time, a flood."""
    events: dict[str, Event] = {}
    for number in range(choose.randint(1, 6)):
        user, visitor = choose.choice(USERS), choose.choice(VISITORS[1:] if choose.random() < 0.8 else VISITORS)
        who = {"user_id": user, "visitor_id": visitor} if user or visitor else {"user_id": "u1"}
        name = f"e-{choose.randint(0, turn)}-{number}"
        at = NOW_US + turn * MINUTE_US - choose.choice([0, 0, 0, 5 * MINUTE_US, 50 * DAY_US]) + number
        make = purchase if choose.random() < 0.3 else view
        events[name] = make(f"p-{choose.randint(0, 9)}", event_id=name, at=at, **who)
    if choose.random() < 0.1:
        who = {"visitor_id": choose.choice(VISITORS[1:])}
        flood = [
            view(f"f-{n}", event_id=f"flood-{turn}-{n}", at=NOW_US + turn * MINUTE_US + n, **who) for n in range(70)
        ]
        events |= {item.event_id: item for item in flood}
    return list(events.values())


@pytest.mark.parametrize("seed", range(6))
async def test_random_histories(postgres_database: str, seed: int) -> None:
    choose = random.Random(seed)
    fake = FakeStores()
    memory = Stores(fake, fake, fake, fake, fake)
    async with open_stores(postgres_database) as real:
        for turn in range(40):
            events = batch(choose, turn)
            assert await real.events.write(T, events) == await memory.events.write(T, events)
            if choose.random() < 0.08:
                user, visitor = choose.choice([("u1", ""), ("u2", ""), ("", "v1"), ("", "v2")])
                one, two = [await stores.privacy.erase(T, user, visitor) for stores in (real, memory)]
                assert (one.event_count, one.record_count) == (two.event_count, two.record_count)
        assert await real.events.state(T) == await memory.events.state(T)
        for user, visitor in [(name, "") for name in USERS[1:]] + [("", name) for name in VISITORS[1:]]:
            one, two = [await stores.exported(user, visitor) for stores in (real, memory)]
            assert one[1] == two[1]
            assert [item.event_id for item in one[0]] == [item.event_id for item in two[0]]
            assert one == two
            assert await real.products_of(user, visitor) == await memory.products_of(user, visitor)
