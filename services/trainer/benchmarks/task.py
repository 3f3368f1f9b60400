"""One thing to be foretold: what models may learn from, who is asked about, and what is right.

Legend: U users asked about, P products.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from services.trainer.domain import Ints
from services.trainer.learning.interactions import Interactions, ItemContent


@dataclass(frozen=True, kw_only=True)
class Task:
    """A cut data set."""

    name: str
    rows: Interactions
    """What models learn from."""
    content: ItemContent | None
    users: Ints
    """Numbers of the users asked about `[U]`; each has at least one right product."""
    truth: Any
    """Right products, sparse `[U, P]`, entries 1."""
    now_s: int
    """The moment of the request."""
    horizon_days: float | None = None
    """How far the truth reaches; None: the next event of each user."""
    hide_seen: bool = False
    """Whether products the user met in training are taken out of the ranking."""
    candidates: npt.NDArray[np.bool_] | None = None
    """Products that may be ranked `[P]`; None: all."""
    statements: Mapping[str, str] = field(default_factory=dict)


def seen_products(task: Task) -> Any:
    """Products each user asked about met in training, sparse `[U, P]`, entries 1."""
    shape = (task.rows.user_count, len(task.rows.product_ids))
    ones = np.ones(len(task.rows), np.float32)
    met = sp.csr_matrix((ones, (task.rows.users, task.rows.products)), shape=shape)[task.users]
    met.data[:] = 1.0
    return met


def only_new(task: Task) -> Task:
    """The same task where only products new to the user are right, and the others are not ranked."""
    seen = seen_products(task)
    truth = (task.truth - task.truth.multiply(seen)).tocsr()
    truth.eliminate_zeros()
    asked = np.flatnonzero(np.diff(truth.indptr))
    return replace(
        task,
        name=f"{task.name.rpartition('/')[0]}/new",
        users=task.users[asked],
        truth=truth[asked],
        hide_seen=True,
    )
