"""Small event logs for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.trainer.datasets.collector import EventCollector
from services.trainer.datasets.events import EventChunk, EventLog, Request
from services.trainer.learning.interactions import EventKind

DAY_S = 86_400
NOW_S = 1_700_000_000


@dataclass(frozen=True)
class Row:
    """One product of an event."""

    user: str
    product: str
    kind: EventKind
    at: int
    event: int
    quantity: int = 1
    price: int = -1
    currency: str = "USD"
    request: str = ""
    position: int = -1
    device: int = 0


def request(name: str, *, release: str = "r1", kind: str = "home", at: int = NOW_S) -> Request:
    return Request(key=name.encode(), release_id=release, list_kind=kind, time_s=at)


def chunk(rows: Sequence[Row], requests: Sequence[Request] = (), total: int = 0) -> EventChunk:
    users, products = sorted({row.user for row in rows}), sorted({row.product for row in rows})
    known = {item.key.decode(): item for item in requests}
    names = list(dict.fromkeys(row.request for row in rows if row.request))
    currencies = list(dict.fromkeys(row.currency for row in rows))
    return EventChunk(
        user_keys=[user.encode() for user in users],
        product_ids=products,
        requests=[known[name] for name in names],
        currencies=currencies,
        users=np.array([users.index(row.user) for row in rows], np.int32),
        products=np.array([products.index(row.product) for row in rows], np.int32),
        request_indexes=np.array([names.index(row.request) if row.request else -1 for row in rows], np.int32),
        currency_indexes=np.array([currencies.index(row.currency) if row.price >= 0 else -1 for row in rows], np.int32),
        kinds=np.array([row.kind for row in rows], np.int8),
        times_s=np.array([row.at for row in rows], np.int64),
        events=np.array([row.event for row in rows], np.int64),
        quantities=np.array([row.quantity for row in rows], np.int32),
        positions=np.array([row.position for row in rows], np.int32),
        unit_price_micros=np.array([row.price for row in rows], np.int64),
        devices=np.array([row.device for row in rows], np.int8),
        total_rows=total,
    )


def collected(chunks: Sequence[EventChunk]) -> EventLog:
    collector = EventCollector(lambda step, done, total: None)
    for item in chunks:
        collector.add(item)
    log = collector.finish()
    assert log is not None
    return log


def log_of(rows: Sequence[Row], requests: Sequence[Request] = ()) -> EventLog:
    return collected([chunk(rows, requests)])
