"""What is foretold from what: the objectives turn windows of sequences into batches.

Next item: each place foretells the row after it (SASRec). Masked item: hidden rows are foretold from both sides
(BERT4Rec). Horizon: each place foretells what is met for within a time after it, in any order (all-action prediction of
PinnerFormer, Pancha et al., 2022); it suits baskets, whose rows have no order.

Legend: B sequences, L places (left padded), N pairs of a place and a right product, W windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from services.trainer.behaviour.sequences import Mask, Sequences
from services.trainer.behaviour.users import MASK_KIND
from services.trainer.domain import Floats, Longs

DAY_S = 86_400


class ObjectiveKind(StrEnum):
    """Which of the three."""

    NEXT = "next"
    MASKED = "masked"
    HORIZON = "horizon"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveConfig:
    """The objective and its own options."""

    kind: ObjectiveKind = ObjectiveKind.NEXT
    masked_share: float = 0.2
    """Of a window's rows; the masked objective only."""
    horizon_days: float = 28.0
    """The horizon objective only."""
    pairs: int = 64
    """Pairs drawn from each window; the horizon objective only."""

    half_life_days: float | None = None
    """Halves a pair's weight with the age of the row that is foretold: what is bought changes with the season and with
    what is on sale; None: all pairs weigh the same."""

    @property
    def causal(self) -> bool:
        """Whether places may read earlier ones only."""
        return self.kind is not ObjectiveKind.MASKED


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs `[B, L]` and pairs `[N]`."""

    products: Tensor
    """int64 [B, L], anything where there is padding."""
    kinds: Tensor
    """int64 [B, L], 0 where there is padding."""
    ages_s: Tensor
    """float32 [B, L], before the last event of the window."""
    rows: Tensor
    """int64 [N], which sequence each pair is of."""
    places: Tensor
    """int64 [N], from which place it foretells."""
    targets: Tensor
    """int64 [N], the right product."""
    waits_s: Tensor
    """float32 [N], from the place's event to the moment of the request."""
    weights: Tensor
    """float32 [N]."""

    def to(self, device: torch.device) -> Batch:
        """On another device."""
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__slots__))


class BatchMaker:
    """Makes batches of windows given as rows `[W, 2]` (begin, end) of the sequences."""

    def __init__(self, config: ObjectiveConfig, sequences: Sequences) -> None:
        self.config = config
        self.sequences = sequences
        self.ends = sequences.event_ends()
        self.end_s = int(sequences.times_s.max(initial=0))
        self.target_rows = np.flatnonzero(sequences.targets)
        self.targets_before = np.concatenate([[0], np.cumsum(sequences.targets)])
        self.span = int(np.ptp(sequences.times_s)) + round(config.horizon_days * DAY_S) + 2 if len(sequences) else 1
        self.keys = sequences.users * self.span + (sequences.times_s - sequences.times_s.min(initial=0))

    def batch(self, windows: Longs, generator: np.random.Generator) -> Batch:
        """The batch of some windows; empty pairs where nothing in them is foretold."""
        makers = {
            ObjectiveKind.NEXT: self._next,
            ObjectiveKind.MASKED: self._masked,
            ObjectiveKind.HORIZON: self._horizon,
        }
        return makers[self.config.kind](windows, generator)

    def _next(self, windows: Longs, generator: np.random.Generator) -> Batch:
        rows_BL, valid_BL = padded(windows - np.array([0, 1]))
        sources, places = np.nonzero(
            valid_BL & self.sequences.targets[np.minimum(rows_BL + 1, len(self.sequences) - 1)]
        )
        inputs_N = rows_BL[sources, places]
        waits_N = self.sequences.times_s[inputs_N + 1] - self.sequences.times_s[inputs_N]
        return self._assembled(rows_BL, valid_BL, (sources, places, inputs_N + 1, waits_N))

    def _masked(self, windows: Longs, generator: np.random.Generator) -> Batch:
        rows_BL, valid_BL = padded(windows)
        hidden_BL = generator.random(rows_BL.shape) < self.config.masked_share
        hidden_BL[:, -1] |= ~(hidden_BL & valid_BL).any(1)
        hidden_BL &= valid_BL & self.sequences.targets[rows_BL]
        sources, places = np.nonzero(hidden_BL)
        waits_N = np.zeros(len(sources), np.int64)
        return self._assembled(rows_BL, valid_BL, (sources, places, rows_BL[sources, places], waits_N), hidden_BL)

    def _horizon(self, windows: Longs, generator: np.random.Generator) -> Batch:
        """A request comes at a random moment before the next event; right is what is met within the horizon from it."""
        rows_BL, valid_BL = padded(windows)
        times_s, users = self.sequences.times_s, self.sequences.users
        sources, places = np.nonzero(valid_BL & self.ends[rows_BL])
        rows = rows_BL[sources, places]
        after = np.minimum(rows + 1, len(self.sequences) - 1)
        room_s = np.where(users[after] == users[rows], times_s[after] - times_s[rows], 0)
        waits = (generator.random(len(rows)) * room_s).astype(np.int64)
        reach = self.keys[rows] + waits + round(self.config.horizon_days * DAY_S)
        limits = np.searchsorted(self.keys, reach, side="right")
        first, last = self.targets_before[rows + 1], self.targets_before[limits]
        drawn = self._draw(sources, last - first, generator)
        chosen = first[drawn] + (generator.random(len(drawn)) * (last - first)[drawn]).astype(np.int64)
        return self._assembled(
            rows_BL, valid_BL, (sources[drawn], places[drawn], self.target_rows[chosen], waits[drawn])
        )

    def _draw(self, sources: Longs, counts: Longs, generator: np.random.Generator) -> Longs:
        """Places, with repetition, `pairs` a window on average, among those with anything to foretell."""
        usable = np.flatnonzero(counts > 0)
        if not len(usable):
            return usable
        windows = len(np.unique(sources[usable]))
        return np.sort(generator.choice(usable, self.config.pairs * windows))

    def _assembled(
        self, rows_BL: Longs, valid_BL: Mask, pairs: tuple[Longs, Longs, Longs, Longs], hidden_BL: Mask | None = None
    ) -> Batch:
        """`pairs`: sequences, places, rows that are foretold, seconds to the request `[N]` each."""
        kinds_BL = np.where(valid_BL, self.sequences.kinds[rows_BL], 0)
        if hidden_BL is not None:
            kinds_BL[hidden_BL] = MASK_KIND
        times_BL = self.sequences.times_s[rows_BL]
        sources, places, right_N, waits_N = pairs
        return Batch(
            torch.from_numpy(self.sequences.products[rows_BL]),
            torch.from_numpy(kinds_BL),
            torch.from_numpy((times_BL[:, -1:] - times_BL).astype(np.float32)),
            torch.from_numpy(sources),
            torch.from_numpy(places),
            torch.from_numpy(self.sequences.products[right_N]),
            torch.from_numpy(waits_N.astype(np.float32)),
            torch.from_numpy(weights(self.config, self.sequences.times_s[right_N], self.end_s)),
        )


def weights(config: ObjectiveConfig, times_s: Longs, end_s: int) -> Floats:
    """By how much rows of these moments count as targets, seen from the end of the data."""
    if config.half_life_days is None:
        return np.ones(len(times_s), np.float32)
    weights_N: Floats = np.exp2((times_s - end_s) / (config.half_life_days * DAY_S)).astype(np.float32)
    return weights_N


def padded(windows: Longs) -> tuple[Longs, Mask]:
    """Rows of each window, left padded `[W, L]`, and which of them are real; the others are the window's first row."""
    longest = int((windows[:, 1] - windows[:, 0]).max())
    rows_WL = windows[:, 1:] - longest + np.arange(longest)
    valid_WL = rows_WL >= windows[:, :1]
    return np.maximum(rows_WL, windows[:, :1]), valid_WL
