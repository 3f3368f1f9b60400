"""What follows what: transitions over several steps back, with decay (a higher-order, additive Markov chain).

A step is an event of a user: one product watched, or a whole basket. From every product of the last W steps, the
products of the next one are counted with weight decay^(steps between - 1). Compare Fossil (He & McAuley 2016).

Legend: E events, P products, W steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from services.trainer.domain import Floats, Ints, Longs
from services.trainer.learning.interactions import Interactions, ItemContent
from services.trainer.recommenders.interface import Report
from services.trainer.recommenders.signals import (
    for_strangers,
    popularity,
    signals,
    take_users,
    tie_breakers,
    weights_of,
)


@dataclass(frozen=True, kw_only=True)
class MarkovConfig:
    """How far back a step is felt, and how counts become strengths."""

    steps: int = 8
    decay: float = 0.8
    popularity_power: float = 0.5
    """Counts are divided by (count of the source + shrink) and by (count of the target)^power."""
    shrink: float = 10.0
    kept: int = 500
    """Strongest targets kept of each source."""
    block: int = 1024
    """Sources worked on at once."""


class Markov:
    """Scores are sums of transition strengths from the user's last steps, recent ones weighing more."""

    name = "markov"

    def __init__(self, config: MarkovConfig) -> None:
        self._config = config
        self._states: Any = None
        self._transitions: Any = None
        self._popular: Floats = np.empty(0, np.float32)
        self._ties: Floats = np.empty(0, np.float32)

    def fit(self, rows: Interactions, content: ItemContent | None, report: Report) -> None:
        kept = signals(rows, self.name)
        steps, owners = step_numbers(kept)
        shape = (len(owners), len(kept.product_ids))
        baskets = sp.csr_matrix((weights_of(kept).astype(np.float32), (steps, kept.products)), shape=shape)
        before = self._lagged(baskets, owners, first=1)
        self._transitions = self._counted(before, baskets, report)
        ends = np.flatnonzero(np.diff(owners, append=-1) != 0)
        latest = self._lagged(baskets, owners, first=0)[ends]
        spread = sp.csr_matrix(
            (np.ones(len(ends), np.float32), (owners[ends], np.arange(len(ends)))), shape=(kept.user_count, len(ends))
        )
        self._states = (spread @ latest).tocsr()
        self._popular, self._ties = popularity(kept), tie_breakers(kept)

    def scores(self, users: Ints, now_s: int) -> Floats:
        states = take_users(self._states, users)
        found = np.asarray((states @ self._transitions).todense(), dtype=np.float32)
        return for_strangers(found + TIE_SCALE * self._ties, states, self._popular)

    def _lagged(self, baskets: Any, owners: Longs, first: int) -> Any:
        """For each event the products of the W events from `first` back, each with its decay `[E, P]`."""
        events = np.arange(len(owners))
        total = sp.csr_matrix(baskets.shape, dtype=np.float32)
        for lag in range(first, first + self._config.steps):
            inside = events[lag:][owners[lag:] == owners[: len(owners) - lag]]
            weight = np.full(len(inside), self._config.decay ** (lag - first), dtype=np.float32)
            shift = sp.csr_matrix((weight, (inside, inside - lag)), shape=(len(owners), len(owners)))
            total = total + shift @ baskets
        return total.tocsr()

    def _counted(self, before: Any, baskets: Any, report: Report) -> Any:
        sources = np.maximum(np.asarray(before.sum(axis=0)).ravel() + self._config.shrink, 1e-9)
        targets = np.maximum(np.asarray(baskets.sum(axis=0)).ravel(), 1.0) ** self._config.popularity_power
        scale = sp.diags((1.0 / targets).astype(np.float32))
        transposed = before.T.tocsr()
        blocks = []
        for start in range(0, transposed.shape[0], self._config.block):
            part = transposed[start : start + self._config.block]
            counts = (
                sp.diags((1.0 / sources[start : start + part.shape[0]]).astype(np.float32)) @ (part @ baskets) @ scale
            )
            blocks.append(_head(counts.tocsr(), self._config.kept))
            report(self.name, start + part.shape[0], transposed.shape[0])
        return sp.vstack(blocks, format="csr")


TIE_SCALE = 1e-4
"""Transition strengths are shares, far below 1."""


def step_numbers(rows: Interactions) -> tuple[Longs, Longs]:
    """Number of the event of each row `[N]`, in the order of users and time, and the user of each event `[E]`."""
    changes = (rows.users[1:] != rows.users[:-1]) | (rows.events[1:] != rows.events[:-1])
    starts = np.concatenate([[True], changes])
    return np.cumsum(starts).astype(np.int64) - 1, rows.users[starts].astype(np.int64)


def _head(counts: Any, kept: int) -> Any:
    """The `kept` largest entries of each row of a sparse matrix."""
    lengths = np.diff(counts.indptr)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((-counts.data, owners))
    ranks = np.arange(len(order)) - np.repeat(counts.indptr[:-1], lengths)
    best = order[ranks < kept]
    return sp.csr_matrix((counts.data[best], (owners[best], counts.indices[best])), shape=counts.shape)
