"""Cuts sequences into windows and windows into batches, anew each epoch.

Legend: W windows, U users.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from services.trainer.behaviour.sequences import Sequences
from services.trainer.domain import Longs


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowConfig:
    """How an epoch is made of sequences."""

    tokens: int = 8192
    """Places of a batch, padding included: short sequences come in larger batches."""
    latest: int = 0
    """Windows of each user that are trained on, counted from the end; 0 means all."""
    replay_share: float = 0.3
    """Of the windows that end before `replay_before_s`, which an incremental training repeats against forgetting."""
    replay_before_s: int = 0
    """Moment up to which an earlier training knew the rows; 0: none came before."""


def cut(sequences: Sequences, length: int, config: WindowConfig, generator: np.random.Generator) -> Longs:
    """Windows `[W, 2]` (begin, end) of two to `length` rows, each sharing one row with the one before.

    Cuts move from epoch to epoch, so that every row comes to see a long past; a user's last window ends with the last
    row.
    """
    step = length - 1
    counts = np.diff(sequences.starts)
    moved = (generator.random(len(counts)) * step).astype(np.int64)
    moved[(counts <= length) | (config.latest == 1)] = 0
    pieces = np.ceil(np.maximum(counts - 1 + moved, 0) / step).astype(np.int64)
    if config.latest:
        pieces = np.minimum(pieces, config.latest)
    users = np.repeat(np.arange(len(counts)), pieces)
    number = np.arange(len(users)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    ends = sequences.starts[1:][users] - number * step + np.where(number > 0, moved[users], 0)
    begins = np.maximum(ends - length, sequences.starts[:-1][users])
    windows = np.stack([begins, ends], axis=1)
    return _replayed(windows[ends - begins >= 2], sequences, config, generator)


def batches(windows: Longs, tokens: int, generator: np.random.Generator) -> Iterator[Longs]:
    """Batches of windows of like length, in random order, at most `tokens` places each (at least one window)."""
    lengths = windows[:, 1] - windows[:, 0]
    order = np.argsort(-lengths * generator.uniform(0.9, 1.0, len(lengths)), kind="stable")
    longest_left = np.maximum.accumulate(lengths[order][::-1])[::-1]
    parts, start = [], 0
    while start < len(order):
        size = max(tokens // int(longest_left[start]), 1)
        parts.append(order[start : start + size])
        start += size
    for number in generator.permutation(len(parts)):
        yield windows[parts[number]]


def _replayed(windows: Longs, sequences: Sequences, config: WindowConfig, generator: np.random.Generator) -> Longs:
    if not config.replay_before_s:
        return windows
    old = sequences.times_s[windows[:, 1] - 1] < config.replay_before_s
    kept: Longs = windows[~old | (generator.random(len(windows)) < config.replay_share)]
    return kept if len(kept) else windows
