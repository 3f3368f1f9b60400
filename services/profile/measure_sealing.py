"""`python -m services.profile.measure_sealing --dsn …`: what sealing costs, beside the same code without cryptography.

Writes the same events by turns sealed and plain into an empty database, reads a long history both ways, and prints
events a second, milliseconds and their ratios. The plain way stores ids and contents as they are; nothing else differs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from services.profile.adapters.batch import BatchParts
from services.profile.adapters.person_keys import PersonKeys
from services.profile.adapters.postgres import Pool
from services.profile.adapters.postgres_events import PostgresEventStore
from services.profile.adapters.postgres_people import PostgresPeopleReader
from services.profile.adapters.product_book import ProductBook
from services.profile.adapters.product_numbers import Partitions, ProductNumbers
from services.profile.adapters.sealed_ids import SealedIds
from services.profile.adapters.tombstones import Tombstones
from services.profile.domain.event import SECOND_US, Event, EventType
from services.profile.domain.history import HistoryLimits
from services.profile.domain.robots import RobotRules
from services.profile.get_profile import read_person
from shared.postgres.migrations import migrate
from shared.postgres.pool import open_pool
from shared.privacy.key_ring import KeyRing

BATCH, PEOPLE, HISTORY, READS = 500, 400, 2_000, 15
READER = "reader"


class PlainRing(KeyRing):
    """Hashes and seals nothing."""

    def hash(self, tenant: str, kind: str, value: str) -> bytes:
        return f"{kind}\0{value}".encode()

    def seal(self, content: bytes, bound_to: bytes) -> bytes:
        return content

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        return sealed


class PlainCipher:
    """Encrypts nothing."""

    def encrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        """As it is."""
        return data

    decrypt = encrypt


class PlainKeys(PersonKeys):
    """Data keys that encrypt nothing."""

    def _opened(self, tenant: str, sealed: bytes) -> Any:
        return PlainCipher()


class Way:
    """Writer and reader of one way, for a tenant of its own."""

    def __init__(self, pool: Pool, name: str, ring: KeyRing, keys: PersonKeys) -> None:
        ids = SealedIds(ring)
        parts = BatchParts(RobotRules(enabled=False), ids, keys, Tombstones(ids))
        self.name = name
        self._store = PostgresEventStore(pool, ProductNumbers(pool, 10_000), Partitions(pool), parts)
        self._people = PostgresPeopleReader(pool, ProductBook(10_000), ids, keys)
        self.rates: list[float] = []
        self.milliseconds: list[float] = []

    async def write(self, events: list[Event]) -> None:
        """Writes in batches, one after another."""
        began = time.perf_counter()
        for start in range(0, len(events), BATCH):
            await self._store.write(self.name, events[start : start + BATCH])
        self.rates.append(len(events) / (time.perf_counter() - began))

    async def read(self) -> None:
        """Reads the long history."""
        began = time.perf_counter()
        await read_person(self._people, self.name, (READER, ""), HistoryLimits())
        self.milliseconds.append((time.perf_counter() - began) * 1_000)


def events(turn: int, count: int, now_us: int) -> list[Event]:
    """Views with everything that is sealed."""
    return [
        Event(
            event_id=f"event-{turn}-{number}",
            event_type=EventType.PRODUCT_VIEW,
            time_us=now_us - number * SECOND_US,
            user_id=f"customer-{number % PEOPLE}",
            visitor_id=f"browser-{number % PEOPLE}",
            session_id=f"session-{number % 50}",
            product_ids=(f"product-{number % 1_000}",),
            quantities=(1,),
            search_query="green tea",
            locale="de-AT",
            attributes=(("page", "detail"), ("campaign", "autumn")),
        )
        for number in range(count)
    ]


def history(now_us: int) -> list[Event]:
    """One person's long past."""
    kind = EventType.PRODUCT_VIEW
    return [
        Event(
            f"read-{n}",
            kind,
            now_us - n * SECOND_US,
            READER,
            session_id="s",
            product_ids=(f"product-{n % 100}",),
            quantities=(1,),
        )
        for n in range(HISTORY)
    ]


async def measure(dsn: str, rounds: int, count: int) -> dict[str, Any]:
    """Runs the rounds, the two ways by turns."""
    now_us = time.time_ns() // 1_000
    with tempfile.TemporaryDirectory() as folder:
        async with open_pool(dsn, max_size=2) as pool:
            await migrate(pool, "services.profile.migrations")
            ring, plain = KeyRing(Path(folder) / "sealed.json"), PlainRing(Path(folder) / "plain.json")
            ways = [Way(pool, "sealed", ring, PersonKeys(ring)), Way(pool, "plain", plain, PlainKeys(plain))]
            for way in ways:
                await way.write(history(now_us))
                way.rates.clear()
            for turn in range(rounds):
                for way in ways if turn % 2 else reversed(ways):
                    await way.write(events(turn, count, now_us))
                    for _ in range(READS):
                        await way.read()
    sealed, unsealed = ways
    return {
        "events_per_second": {way.name: round(statistics.median(way.rates)) for way in ways},
        "write_ratio": round(statistics.median(sealed.rates) / statistics.median(unsealed.rates), 3),
        f"read_{HISTORY}_events_ms": {way.name: round(statistics.median(way.milliseconds), 2) for way in ways},
        "read_ratio": round(statistics.median(sealed.milliseconds) / statistics.median(unsealed.milliseconds), 3),
    }


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; prints JSON."""
    parser = argparse.ArgumentParser(description="Measure what sealing costs.")
    parser.add_argument("--dsn", required=True, help="an empty database")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--events", type=int, default=10_000, help="events a round and way")
    options = parser.parse_args(arguments)
    found = asyncio.run(measure(options.dsn, options.rounds, options.events))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
