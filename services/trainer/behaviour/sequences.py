"""What users did, as sequences in the vocabulary's numbers.

Legend: N rows, U users.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from services.trainer.domain import Longs
from services.trainer.learning.interactions import EventKind, Interactions

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceConfig:
    """Which rows are read and which are foretold."""

    inputs: tuple[EventKind, ...] = (
        EventKind.PRODUCT_VIEW,
        EventKind.CLICK,
        EventKind.ADD_TO_CART,
        EventKind.REMOVE_FROM_CART,
        EventKind.PURCHASE,
        EventKind.RATE,
        EventKind.ADD_TO_WISH_LIST,
    )
    targets: tuple[EventKind, ...] = (
        EventKind.PRODUCT_VIEW,
        EventKind.CLICK,
        EventKind.ADD_TO_CART,
        EventKind.PURCHASE,
        EventKind.RATE,
        EventKind.ADD_TO_WISH_LIST,
    )
    first_only: bool = False
    """Foretells only products that are new to the user: repeat purchases are another model's task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequences:
    """Rows of all users, one after another, in time order."""

    users: Longs
    products: Longs
    kinds: Longs
    times_s: Longs
    events: Longs
    targets: Mask
    """Rows that are foretold."""
    starts: Longs
    """Where each user's rows begin `[U + 1]`."""

    def __len__(self) -> int:
        return len(self.products)

    @classmethod
    def of(cls, rows: Interactions, numbers: Longs, config: SequenceConfig) -> Sequences:
        """Sequences of rows; `numbers` maps the rows' products to the vocabulary."""
        rows = rows.of_kind(*config.inputs)
        targets = np.isin(rows.kinds, np.array(config.targets, np.int8))
        if config.first_only:
            targets &= first_meetings(rows)
        return cls(
            users=rows.users.astype(np.int64),
            products=numbers[rows.products],
            kinds=rows.kinds.astype(np.int64),
            times_s=rows.times_s,
            events=rows.events,
            targets=targets,
            starts=rows.starts(),
        )

    def where(self, kept: Mask) -> Sequences:
        """The rows that the mask keeps, users' numbers unchanged."""
        counts = np.concatenate([[0], np.cumsum(kept)])
        return replace(
            self,
            users=self.users[kept],
            products=self.products[kept],
            kinds=self.kinds[kept],
            times_s=self.times_s[kept],
            events=self.events[kept],
            targets=self.targets[kept],
            starts=counts[self.starts],
        )

    def event_ends(self) -> Mask:
        """Rows after which another event, or another user, begins."""
        ends = np.ones(len(self), np.bool_)
        ends[:-1] = (self.users[1:] != self.users[:-1]) | (self.events[1:] != self.events[:-1])
        return ends


def first_meetings(rows: Interactions) -> Mask:
    """Rows in which a user meets a product for the first time."""
    keys = rows.users.astype(np.int64) * max(len(rows.product_ids), 1) + rows.products
    _, first = np.unique(keys, return_index=True)
    mask = np.zeros(len(rows), np.bool_)
    mask[first] = True
    return mask
