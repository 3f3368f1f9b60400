"""Splits of interactions into what is learned from and what is predicted. Only `sample_users` uses chance, seeded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.trainer.domain import Ints
from services.trainer.learning.interactions import Interactions


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A span of time, seconds since 1970: from `start_s` on, before `end_s`."""

    start_s: int
    end_s: int

    def __post_init__(self) -> None:
        if self.end_s <= self.start_s:
            raise ValueError(f"end_s is {self.end_s}; it must be after start_s {self.start_s}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Rows to learn from, and rows to predict; users and products keep their numbers."""

    train: Interactions
    test: Interactions


def temporal_split(rows: Interactions, test: Window) -> Split:
    """Learns from everything before the window, predicts what lies in it; what comes later is in neither."""
    return Split(train=rows.before(test.start_s), test=rows.between(test.start_s, test.end_s))


def sample_users(rows: Interactions, count: int, seed: int) -> Ints:
    """At most `count` of the users that have rows, sorted; the same ones for the same seed."""
    users = np.unique(rows.users)
    if len(users) <= count:
        return users.astype(np.int32)
    return np.sort(np.random.default_rng(seed).choice(users, count, replace=False)).astype(np.int32)
