"""What is kept back from training rows to judge by."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from services.trainer.learning.interactions import EventKind, Interactions
from services.trainer.learning.pairs import DAY_S


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


def split_in_time(rows: Interactions, horizon_days: float | None) -> tuple[Interactions, Interactions, int]:
    """Rows before a cut, what was chosen after it, and the moment of the request.

    The cut is `horizon_days` before the end, and purchases count where there are any; None: each user's last event.
    """
    if horizon_days is None:
        last = last_events(rows)
        return rows.where(~last), rows.where(last), rows.end_time_s
    cut_s = rows.end_time_s + 1 - round(horizon_days * DAY_S)
    later = rows.where(rows.times_s >= cut_s)
    bought = later.of_kind(EventKind.PURCHASE)
    return rows.before(cut_s), bought if len(bought) else later, cut_s
