"""Events with everything that learning needs of them, in columns.

Legend: N rows, one a product of an event; U users, P products, R requests (answers that showed products).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.trainer.domain import Ints, Longs
from services.trainer.learning.interactions import UNKNOWN_AMOUNT, EventKind, Interactions, Kinds

Report = Callable[[str, int, int], None]
"""Told the step, how much of it is done and how much there is (0: not known)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An answer that showed products, as the attribution token of an event tells it."""

    key: bytes
    """Pseudonym of the token."""
    release_id: str
    list_kind: str
    time_s: int
    """When it was answered."""
    exposures: tuple[tuple[str, str], ...] = ()
    """Experiments and the variants of them that made the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventChunk:
    """Rows as the profile service streams them in the view FULL; columns `[N]`, dictionaries of this chunk."""

    user_keys: Sequence[bytes]
    product_ids: Sequence[str]
    requests: Sequence[Request]
    currencies: Sequence[str]
    users: Ints
    products: Ints
    request_indexes: Ints
    """-1: the event carries no token."""
    currency_indexes: Ints
    """-1: not known."""
    kinds: Kinds
    times_s: Longs
    events: Longs
    quantities: Ints
    positions: Ints
    """In the list that the request showed, from 0; -1: not in it."""
    unit_price_micros: Longs
    """-1: not known."""
    devices: Kinds
    total_rows: int
    """Of the whole stream; 0: not known."""

    def __len__(self) -> int:
        return len(self.times_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLog:
    """All rows `[N]`, sorted by user, then time, event and product. The same events in any order make the same log.

    Users are numbered in the order of their keys, products of their ids, requests of their keys, events by time.
    """

    user_keys: tuple[bytes, ...]
    product_ids: tuple[str, ...]
    requests: tuple[Request, ...]
    currency: str
    """That of most prices; empty: no price is known."""
    foreign_price_count: int
    """Rows whose price is in another currency; it counts as not known."""
    users: Ints
    products: Ints
    kinds: Kinds
    times_s: Longs
    events: Longs
    quantities: Ints
    unit_price_micros: Longs
    """-1: not known."""
    devices: Kinds
    request_indexes: Ints
    """-1: none."""
    positions: Ints
    """-1: none."""

    def __len__(self) -> int:
        return len(self.times_s)

    def interactions(self, amount_micros: Longs | None = None) -> Interactions:
        """What people did, impressions left out; a product stands at most once in an event.

        `amount_micros` of the rows `[N]` are added up where it stood more than once.
        """
        done = np.flatnonzero(self.kinds != EventKind.IMPRESSION)
        users, products, events = self.users[done], self.products[done], self.events[done]
        doubled = np.zeros(len(done), dtype=np.bool_)
        doubled[1:] = (users[1:] == users[:-1]) & (events[1:] == events[:-1]) & (products[1:] == products[:-1])
        rows = done[~doubled]
        return Interactions(
            product_ids=self.product_ids,
            user_count=len(self.user_keys),
            users=self.users[rows],
            products=self.products[rows],
            kinds=self.kinds[rows],
            times_s=self.times_s[rows],
            events=self.events[rows],
            amount_micros=None if amount_micros is None else _added(amount_micros[done], ~doubled),
        )


def _added(amounts: Longs, first: npt.NDArray[np.bool_]) -> Longs:
    """The sum of each group, which begins where `first` is true; not known where one of them is not."""
    groups = np.cumsum(first) - 1
    sums = np.zeros(int(first.sum()), np.int64)
    np.add.at(sums, groups, amounts)
    sums[groups[amounts < 0]] = UNKNOWN_AMOUNT
    return sums
