"""Gathers streamed chunks into columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from services.trainer.domain import Ints, Longs, Purchases
from services.trainer.ports import EventChunk

DAY_S = 86_400

Key = TypeVar("Key", bytes, str)


class PurchaseCollector:
    """Numbers users and products across chunks; `finish` drops doubled products of a basket and what is too old."""

    def __init__(self) -> None:
        self._users: dict[bytes, int] = {}
        self._products: dict[str, int] = {}
        self._chunks: list[tuple[Ints, Ints, Longs, Longs]] = []
        self.row_count = 0

    def add(self, chunk: EventChunk) -> None:
        """Takes one chunk."""
        users = _numbers(chunk.user_keys, self._users)
        products = _numbers(chunk.product_ids, self._products)
        self._chunks.append((users[chunk.users], products[chunk.products], chunk.events, chunk.times_s))
        self.row_count += len(chunk.times_s)

    def finish(self, history_days: int) -> Purchases | None:
        """All purchases of the last `history_days` before the latest one; None when there are none."""
        if not self.row_count:
            return None
        users, products, events, times = (np.concatenate(column) for column in zip(*self._chunks, strict=True))
        kept = times > times.max() - history_days * DAY_S
        users, products, events, times = users[kept], products[kept], events[kept], times[kept]
        _, baskets = np.unique(events, return_inverse=True)
        _, first = np.unique(baskets.astype(np.int64) * len(self._products) + products, return_index=True)
        return Purchases(
            product_ids=tuple(self._products),
            user_count=len(self._users),
            users=users[first].astype(np.int32),
            products=products[first].astype(np.int32),
            baskets=baskets[first].astype(np.int32),
            times_s=times[first],
        )


def _numbers(keys: Sequence[Key], known: dict[Key, int]) -> Ints:
    return np.fromiter((known.setdefault(key, len(known)) for key in keys), np.int32, len(keys))
