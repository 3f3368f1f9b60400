"""A public data set in memory: rows, what is known of the products, and how it was read.

Legend: N rows, U users, P products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from services.trainer.domain import Ints, Longs
from services.trainer.learning.interactions import EventKind, Interactions, ItemContent

STEP_S = 86_400
"""Sequences without times: one step is one day, so that half-lives in days are half-lives in steps."""


@dataclass(frozen=True, kw_only=True)
class Log:
    """All rows of a data set that a protocol cuts."""

    name: str
    rows: Interactions
    user_ids: tuple[str, ...]
    content: ItemContent | None = None
    timed: bool = True
    """False: times only tell the order within a user."""
    statements: Mapping[str, str] = field(default_factory=dict)
    """What a reader must know to compare figures: filters, sources, text encoder."""


def from_sequences(sequences: Sequence[Ints], product_ids: tuple[str, ...]) -> Interactions:
    """Rows of sequences without times: each ends at the same moment, one step before it lies the step before.

    Every entry is one purchase and an event of its own.
    """
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    count = int(lengths.sum())
    ends = np.repeat(np.cumsum(lengths), lengths)
    steps_left = ends - np.arange(count, dtype=np.int64)
    longest = int(lengths.max()) if count else 0
    return Interactions.of(
        product_ids,
        len(sequences),
        (
            np.repeat(np.arange(len(sequences), dtype=np.int32), lengths),
            np.concatenate(sequences).astype(np.int32) if count else np.empty(0, np.int32),
            np.full(count, EventKind.PURCHASE, dtype=np.int8),
            ((longest - steps_left) * STEP_S).astype(np.int64),
            np.arange(count, dtype=np.int64),
        ),
    )


def events_of(users: Ints, times_s: Longs) -> Longs:
    """Numbers events: rows of one user at one moment are one event `[N]`."""
    _, numbers = np.unique(np.stack([users.astype(np.int64), times_s]), axis=1, return_inverse=True)
    return np.asarray(numbers, dtype=np.int64).ravel()
