"""The books: what the gateway acknowledged, held against PostgreSQL and Milvus afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from pymilvus import MilvusClient

from shared.privacy.key_ring import KeyRing

ALIAS = "products_default"
MOST_ROWS = 16_384
TENANT, EVENT = "default", "event"
_STORED = """
SELECT event_hash, count(*) FROM (
    SELECT event_hash FROM profile.events WHERE tenant_id = %(tenant)s AND event_hash = ANY(%(hashes)s::bytea[])
    UNION ALL
    SELECT event_hash FROM profile.quarantine WHERE tenant_id = %(tenant)s AND event_hash = ANY(%(hashes)s::bytea[])
) AS stored GROUP BY event_hash
"""
_PRODUCTS = """
SELECT product_id, change_number, price_units, price_nanos FROM catalog.products WHERE tenant_id = 'default'
"""


@dataclass(slots=True)
class Ledger:
    """What was acknowledged, and what was sent without an answer and so may have been stored as well."""

    events: set[str] = field(default_factory=set)
    unanswered_events: set[str] = field(default_factory=set)
    prices: dict[str, int] = field(default_factory=dict)
    """By product, in whole units: the last one that was acknowledged."""
    unanswered_prices: dict[str, set[int]] = field(default_factory=dict)
    """Sent since then."""

    def price_sent(self, product_id: str, units: int) -> None:
        """A new price is on its way."""
        self.unanswered_prices.setdefault(product_id, set()).add(units)

    def price_stored(self, product_id: str, units: int) -> None:
        """The last price sent was acknowledged."""
        self.prices[product_id] = units
        self.unanswered_prices.pop(product_id, None)


@dataclass(frozen=True, slots=True)
class Audit:
    """How the stores differ from the books; empty lists are the goal."""

    acknowledged_events: int
    lost_events: list[str]
    doubled_events: list[str]
    acknowledged_products: int
    lost_changes: list[str]
    """Products whose stored price is neither acknowledged nor sent since."""
    wrong_in_index: list[str]
    """Products that the index lacks, has too many, or holds in another version than the catalogue."""


async def audit(ledger: Ledger, dsn: str, milvus_uri: str, keys: Path) -> Audit:
    """Reads both stores; `keys` is the file of the keys of personal data, by which events are found.

    Raises psycopg.Error and MilvusException while they are away.
    """
    ring = KeyRing(keys)
    sent = {ring.hash(TENANT, EVENT, one): one for one in ledger.events | ledger.unanswered_events}
    async with await psycopg.AsyncConnection.connect(dsn, connect_timeout=5) as connection:
        found = await connection.execute(_STORED, {"tenant": TENANT, "hashes": list(sent)}, binary=True)
        counts: dict[str, int] = {sent[bytes(row[0])]: int(row[1]) for row in await found.fetchall()}
        rows: list[Any] = await (await connection.execute(_PRODUCTS)).fetchall()
    stored = {row[0]: int(row[2]) for row in rows}
    catalogue = {row[0]: (row[1], row[2] * 1_000_000 + row[3] // 1000) for row in rows}
    indexed = await asyncio.to_thread(_indexed, milvus_uri)
    allowed = {one: {units} | ledger.unanswered_prices.get(one, set()) for one, units in ledger.prices.items()}
    return Audit(
        acknowledged_events=len(ledger.events),
        lost_events=sorted(one for one in ledger.events if one not in counts),
        doubled_events=sorted(one for one, count in counts.items() if count > 1),
        acknowledged_products=len(ledger.prices),
        lost_changes=sorted(one for one, units in allowed.items() if stored.get(one) not in units),
        wrong_in_index=_different(catalogue, indexed),
    )


def _different(catalogue: dict[str, Any], indexed: dict[str, Any]) -> list[str]:
    both: Collection[str] = catalogue.keys() | indexed.keys()
    return sorted(one for one in both if catalogue.get(one) != indexed.get(one))


def _indexed(uri: str) -> dict[str, Any]:
    """Version and price of every product in the index."""
    client = MilvusClient(uri, timeout=20)
    try:
        fields = ["id", "change_number", "price_micros"]
        rows = client.query(
            ALIAS, filter='id != ""', output_fields=fields, limit=MOST_ROWS, consistency_level="Strong", timeout=20
        )
    finally:
        client.close()
    return {row["id"]: (row["change_number"], row["price_micros"]) for row in rows}
