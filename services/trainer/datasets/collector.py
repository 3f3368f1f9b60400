"""Gathers streamed chunks into one log of events."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from services.trainer.datasets.events import EventChunk, EventLog, Report, Request
from services.trainer.domain import Ints

STEP = "reading events"

Key = TypeVar("Key", bound=Hashable)
Columns = dict[str, npt.NDArray[Any]]


class EventCollector:
    """Numbers users, products and requests across chunks; keeps about 50 bytes a row, and each key once."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._users: dict[bytes, int] = {}
        self._products: dict[str, int] = {}
        self._requests: dict[bytes, int] = {}
        self._request_list: list[Request] = []
        self._currencies: dict[str, int] = {}
        self._chunks: list[Columns] = []
        self.row_count = 0

    def add(self, chunk: EventChunk) -> None:
        """Takes one chunk."""
        users, products = _numbers(chunk.user_keys, self._users), _numbers(chunk.product_ids, self._products)
        known = len(self._requests)
        requests = _numbers((request.key for request in chunk.requests), self._requests)
        fresh = {int(number): request for number, request in zip(requests, chunk.requests, strict=True)}
        self._request_list.extend(fresh[number] for number in range(known, len(self._requests)))
        currencies = _numbers(chunk.currencies, self._currencies)
        self._chunks.append(
            {
                "users": users[chunk.users],
                "products": products[chunk.products],
                "kinds": chunk.kinds.astype(np.int8),
                "times_s": chunk.times_s.astype(np.int64),
                "events": chunk.events.astype(np.int64),
                "quantities": chunk.quantities.astype(np.int32),
                "unit_price_micros": chunk.unit_price_micros.astype(np.int64),
                "devices": chunk.devices.astype(np.int8),
                "request_indexes": _or_none(requests)[chunk.request_indexes],
                "positions": chunk.positions.astype(np.int32),
                "currencies": _or_none(currencies)[chunk.currency_indexes],
            }
        )
        self.row_count += len(chunk)
        self._report(STEP, self.row_count, max(chunk.total_rows, self.row_count))

    def finish(self) -> EventLog | None:
        """All rows in their canonical order; None when there are none. The collector is empty then."""
        if not self.row_count:
            return None
        columns = {name: self._joined(name) for name in list(self._chunks[0])}
        self._chunks.clear()
        self.row_count = 0
        columns["users"] = _ranks(self._users)[columns["users"]]
        columns["products"] = _ranks(self._products)[columns["products"]]
        columns["request_indexes"] = _or_none(_ranks(self._requests))[columns["request_indexes"]]
        columns["events"] = np.unique(columns["events"], return_inverse=True)[1].astype(np.int64)
        currency, foreign = _main_currency(columns.pop("currencies"), columns["unit_price_micros"], self._currencies)
        columns["unit_price_micros"][foreign] = -1
        keys = ("unit_price_micros", "quantities", "products", "events", "times_s", "users")
        order = np.lexsort(tuple(columns[name] for name in keys))
        return EventLog(
            user_keys=tuple(sorted(self._users)),
            product_ids=tuple(sorted(self._products)),
            requests=tuple(sorted(self._request_list, key=lambda request: request.key)),
            currency=currency,
            foreign_price_count=int(foreign.sum()),
            **{name: values[order] for name, values in columns.items()},
        )

    def _joined(self, name: str) -> npt.NDArray[Any]:
        """One column of all chunks, which give it away: no column lies in memory twice for long."""
        return np.concatenate([chunk.pop(name) for chunk in self._chunks])


def _numbers(keys: Iterable[Key], known: dict[Key, int]) -> Ints:
    """The number of each key, a new one where it is new."""
    return np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.int32)


def _or_none(numbers: Ints) -> Ints:
    """With -1 at the end, so that index -1 gives -1."""
    return np.append(numbers, np.int32(-1))


def _ranks(known: Mapping[Any, int]) -> Ints:
    """The place of each number when keys are sorted."""
    ranks = np.empty(len(known), dtype=np.int32)
    ranks[[known[key] for key in sorted(known)]] = np.arange(len(known), dtype=np.int32)
    return ranks


def _main_currency(
    currencies: Ints, prices: npt.NDArray[np.int64], known: Mapping[str, int]
) -> tuple[str, npt.NDArray[np.bool_]]:
    """The currency of most prices (of equals the first by name), and which rows have a price in another one."""
    priced = (prices >= 0) & (currencies >= 0)
    counts = np.bincount(currencies[priced], minlength=len(known))
    used = [name for name in sorted(known) if counts[known[name]]]
    if not used:
        return "", np.zeros(len(prices), dtype=np.bool_)
    main = max(used, key=lambda name: counts[known[name]])
    return main, priced & (currencies != known[main])
