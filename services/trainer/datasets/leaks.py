"""The leak check: what is to be predicted must not have influenced what it is predicted from.

Features "as of a cut" are computed twice for a sample of users: from the events before the cut alone, and with
everything that came at the cut and later. They must be equal. So that the check can fail even where the sample did
nothing later, events are planted at the very moment of the cut and after it.

Legend: U users, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.trainer.datasets.errors import DataLeak
from services.trainer.datasets.splits import sample_users
from services.trainer.domain import Floats, Ints
from services.trainer.learning.interactions import EventKind, Interactions

Features = Callable[[Interactions, Ints, int], Floats]
"""Features `[U, F]` of users as of a cut, from rows that may go beyond it: `features(rows, users, cut_s)`."""

AFTER_CUT_S = (0, 1, 86_400)
"""When events are planted, after the cut: one at the cut itself catches "at or before" where "before" was meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakConfig:
    """How thoroughly is looked."""

    users: int = 200
    """Size of the sample."""
    seed: int = 0
    tolerance: float = 1e-6
    """Relative difference that rounding may make: sums over more rows are added in another order."""


def check_features(
    features: Features, rows: Interactions, cut_s: int, names: Sequence[str], config: LeakConfig
) -> None:
    """Proves on a sample of users that nothing at or after the cut changes features as of the cut.

    `names` are those of the F features. Raises DataLeak with feature, cut and both values; ValueError when nothing
    lies before the cut, because then nothing is proved, and when the names are not as many as the features.
    """
    before = rows.before(cut_s)
    if not len(before):
        raise ValueError(f"cut_s is {cut_s}; no row lies before it, so that the check would prove nothing")
    users = sample_users(before, config.users, config.seed)
    expected = features(before, users, cut_s)
    if expected.shape != (len(users), len(names)):
        raise ValueError(
            f"features has the shape {expected.shape}; {len(users)} users × {len(names)} names were asked for"
        )
    found = features(_with_planted(rows, users, cut_s, config.seed), users, cut_s)
    if found.shape != expected.shape:
        raise DataLeak(
            f"features have the shape {found.shape} with events at or after {cut_s}, and {expected.shape} without them"
        )
    differs = ~np.isclose(found, expected, rtol=config.tolerance, atol=config.tolerance, equal_nan=True)
    if differs.any():
        raise DataLeak(_finding(differs, expected, found, names, cut_s))


def check_split(train: Interactions, test: Interactions) -> None:
    """Every row to learn from must come before every row to predict. Raises DataLeak with both moments."""
    if len(train) and len(test) and train.end_time_s >= (first := int(test.times_s.min())):
        raise DataLeak(
            f"the latest row to learn from is at {train.end_time_s}, the first row to predict at {first};"
            " it must be later"
        )


def _with_planted(rows: Interactions, users: Ints, cut_s: int, seed: int) -> Interactions:
    """The rows, and for every user of the sample events of each kind at and after the cut."""
    kinds = np.array(EventKind, dtype=np.int8)
    shape = (len(users), len(AFTER_CUT_S), len(kinds))
    planted = int(np.prod(shape))
    first = int(rows.events.max()) + 1
    products = np.random.default_rng(seed).integers(0, len(rows.product_ids), planted)
    times_s = np.broadcast_to(cut_s + np.array(AFTER_CUT_S, dtype=np.int64)[None, :, None], shape)
    return Interactions.of(
        rows.product_ids,
        rows.user_count,
        (
            np.concatenate([rows.users, np.broadcast_to(users[:, None, None], shape).ravel()]),
            np.concatenate([rows.products, products.astype(np.int32)]),
            np.concatenate([rows.kinds, np.broadcast_to(kinds, shape).ravel()]),
            np.concatenate([rows.times_s, times_s.ravel()]),
            np.concatenate([rows.events, np.arange(first, first + planted, dtype=np.int64)]),
        ),
    )


def _finding(differs: npt.NDArray[np.bool_], expected: Floats, found: Floats, names: Sequence[str], cut_s: int) -> str:
    """Names the leaking features, worst first, and the first difference of the worst."""
    counts = differs.sum(axis=0)
    worst = np.argsort(-counts, kind="stable")
    leaking = [names[place] for place in worst if counts[place]]
    place = int(worst[0])
    user = int(np.flatnonzero(differs[:, place])[0])
    more = f" (and {len(leaking) - 1} more: {', '.join(leaking[1:6])})" if len(leaking) > 1 else ""
    return (
        f"feature {leaking[0]!r}{more} as of {cut_s} changes with events at or after that moment, for {counts[place]}"
        f" of {len(differs)} users: {expected[user, place]:g} without them, {found[user, place]:g} with them"
    )
