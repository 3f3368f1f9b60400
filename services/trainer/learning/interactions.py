"""What models learn from: who did what with which product and when, and what is known of the products.

Legend: N rows, U users, P products, T components of a text vector.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from services.trainer.domain import Categories, Floats, Ints, Longs, Purchases

Kinds = npt.NDArray[np.int8]

UNKNOWN_AMOUNT = -1


class EventKind(IntEnum):
    """Types of events that name products; numbers as in `mercato.gateway.v1.UserEventType`."""

    PRODUCT_VIEW = 3
    IMPRESSION = 5
    CLICK = 6
    ADD_TO_CART = 7
    REMOVE_FROM_CART = 8
    PURCHASE = 9
    RATE = 10
    ADD_TO_WISH_LIST = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Interactions:
    """Rows in columns `[N]`, sorted by user, then time, then event: a user's rows are one sequence.

    Users, products and events are numbered from 0. One row a product of an event; times are seconds since 1970, UTC.
    """

    product_ids: tuple[str, ...]
    user_count: int
    users: Ints
    products: Ints
    kinds: Kinds
    times_s: Longs
    events: Longs
    amount_micros: Longs | None = None
    """Paid for the product in the event, millionths of the shop's currency; -1: not known, or nothing was bought.
    None: not known of any row."""

    @classmethod
    def of(
        cls,
        product_ids: tuple[str, ...],
        user_count: int,
        columns: tuple[Ints, Ints, Kinds, Longs, Longs],
        amount_micros: Longs | None = None,
    ) -> Interactions:
        """Sorts columns (users, products, kinds, times_s, events), and amounts, that come in any order."""
        users, products, kinds, times_s, events = columns
        order = np.lexsort((events, times_s, users))
        return cls(
            product_ids=product_ids,
            user_count=user_count,
            users=users[order].astype(np.int32),
            products=products[order].astype(np.int32),
            kinds=kinds[order].astype(np.int8),
            times_s=times_s[order].astype(np.int64),
            events=events[order].astype(np.int64),
            amount_micros=None if amount_micros is None else amount_micros[order].astype(np.int64),
        )

    def __len__(self) -> int:
        return len(self.users)

    @property
    def end_time_s(self) -> int:
        """The latest row."""
        return int(self.times_s.max()) if len(self) else 0

    def where(self, mask: npt.NDArray[np.bool_]) -> Interactions:
        """The rows that the mask keeps; numbers of users and products stay."""
        return replace(
            self,
            users=self.users[mask],
            products=self.products[mask],
            kinds=self.kinds[mask],
            times_s=self.times_s[mask],
            events=self.events[mask],
            amount_micros=None if self.amount_micros is None else self.amount_micros[mask],
        )

    def before(self, cut_s: int) -> Interactions:
        """Rows before a moment: what was known then."""
        return self.where(self.times_s < cut_s)

    def between(self, start_s: int, end_s: int) -> Interactions:
        """Rows at or after `start_s` and before `end_s`."""
        return self.where((self.times_s >= start_s) & (self.times_s < end_s))

    def of_kind(self, *kinds: EventKind) -> Interactions:
        """Rows of some types."""
        return self.where(np.isin(self.kinds, np.array(kinds, np.int8)))

    def starts(self) -> Longs:
        """Where each user's rows begin `[U + 1]`; the last entry is the number of rows."""
        return np.searchsorted(self.users, np.arange(self.user_count + 1)).astype(np.int64)

    def purchases(self) -> Purchases:
        """Purchases as the tables are computed from: a product stands at most once in a basket."""
        rows = self.of_kind(EventKind.PURCHASE)
        _, baskets = np.unique(rows.events, return_inverse=True)
        keys = baskets.astype(np.int64) * max(len(self.product_ids), 1) + rows.products
        _, first = np.unique(keys, return_index=True)
        return Purchases(
            product_ids=self.product_ids,
            user_count=self.user_count,
            users=rows.users[first],
            products=rows.products[first],
            baskets=baskets[first].astype(np.int32),
            times_s=rows.times_s[first],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemContent:
    """What is known of products without anybody having bought them, by product `[P]`."""

    categories: Categories
    brands: Ints
    """Position in `brand_names`; the empty name is an unknown brand."""
    brand_names: tuple[str, ...]
    prices: Floats
    """Units of the shop's currency; 0: unknown."""
    publish_times_s: Longs
    """When the shop began to sell it; 0: unknown."""
    text_vectors: Floats
    """Unit vectors of the text encoder `[P, T]`; zeros where there is none; T is 0 when no encoder was at hand."""
