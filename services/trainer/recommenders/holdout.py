"""What is kept back from training rows to judge by."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from services.trainer.learning.interactions import Interactions


def last_events(rows: Interactions) -> npt.NDArray[np.bool_]:
    """Which rows belong to the last event of a user who has at least two events `[N]`."""
    if not len(rows):
        return np.zeros(0, dtype=np.bool_)
    starts = np.concatenate([[True], (rows.users[1:] != rows.users[:-1]) | (rows.events[1:] != rows.events[:-1])])
    numbers = np.cumsum(starts) - 1
    owners = rows.users[starts]
    lasts = np.concatenate([owners[1:] != owners[:-1], [True]])
    several = np.bincount(owners, minlength=rows.user_count)[owners] > 1
    return np.asarray((lasts & several)[numbers], dtype=np.bool_)
