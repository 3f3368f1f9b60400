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


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOut:
    """Rows to learn from, to choose by and to measure on."""

    train: Interactions
    validation: Interactions
    test: Interactions


def temporal_split(rows: Interactions, test: Window) -> Split:
    """Learns from everything before the window, predicts what lies in it; what comes later is in neither."""
    return Split(train=rows.before(test.start_s), test=rows.between(test.start_s, test.end_s))


def cut_at_share(rows: Interactions, share: float) -> int:
    """The latest moment at or after which at least `share` (between 0 and 1) of the rows lie.

    Raises ValueError for another share, or without rows.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"share is {share}; it must be above 0 and below 1")
    if not len(rows):
        raise ValueError("rows is empty; a share of nothing has no moment")
    place = len(rows) - int(np.ceil(share * len(rows)))
    return int(np.partition(rows.times_s, place)[place])


def validation_windows(end_s: int, length_s: int, count: int) -> list[Window]:
    """`count` windows of `length_s` that end one after the other at `end_s`, oldest first: rolling origins."""
    starts = [end_s - length_s * step for step in range(count, 0, -1)]
    return [Window(start_s, start_s + length_s) for start_s in starts]


def leave_one_out(rows: Interactions) -> HoldOut:
    """The last row of each user is the test, the one before it validation.

    Of rows at the same moment the order of `rows` decides. Users with fewer than three rows are learned from whole:
    a user with nothing left before the test can not be asked about.
    """
    starts = rows.starts()
    lengths = np.diff(starts)
    ends = starts[1:][lengths >= 3]
    test, validation = np.zeros(len(rows), dtype=np.bool_), np.zeros(len(rows), dtype=np.bool_)
    test[ends - 1] = True
    validation[ends - 2] = True
    return HoldOut(train=rows.where(~(test | validation)), validation=rows.where(validation), test=rows.where(test))


def sample_users(rows: Interactions, count: int, seed: int) -> Ints:
    """At most `count` of the users that have rows, sorted; the same ones for the same seed."""
    users = np.unique(rows.users)
    if len(users) <= count:
        return users.astype(np.int32)
    return np.sort(np.random.default_rng(seed).choice(users, count, replace=False)).astype(np.int32)
