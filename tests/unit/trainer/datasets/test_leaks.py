from __future__ import annotations

import numpy as np
import pytest

from services.trainer.datasets.errors import DataLeak
from services.trainer.datasets.leaks import LeakConfig, check_features, check_split
from services.trainer.datasets.splits import Window, temporal_split
from services.trainer.domain import Floats, Ints
from services.trainer.learning.interactions import EventKind, Interactions
from tests.fakes.trainer.event_rows import DAY_S, NOW_S, Row, log_of

CUT_S = NOW_S + 20 * DAY_S
NAMES = ("count", "share of all", "days since")


def history(days: int = 40) -> Interactions:
    random = np.random.default_rng(3)
    return log_of(
        [
            Row(f"u{random.integers(20)}", f"p{random.integers(9)}", EventKind.PURCHASE, NOW_S + int(at), number)
            for number, at in enumerate(random.integers(0, days * DAY_S, 400))
        ]
    ).interactions()


def counted(rows: Interactions, users: Ints, cut_s: int) -> Floats:
    counts = np.bincount(rows.users, minlength=rows.user_count)
    last = np.zeros(rows.user_count)
    np.maximum.at(last, rows.users, rows.times_s)
    ages = (cut_s - last) / DAY_S
    return np.stack([counts[users], counts[users] / len(rows), ages[users]], axis=1).astype(np.float32)


def honest(rows: Interactions, users: Ints, cut_s: int) -> Floats:
    return counted(rows.before(cut_s), users, cut_s)


def test_honest_features_pass() -> None:
    check_features(honest, history(), CUT_S, NAMES, LeakConfig())


@pytest.mark.parametrize("days", [40, 20])
def test_a_planted_leak_is_named_even_where_nothing_came_later(days: int) -> None:
    def leaking(rows: Interactions, users: Ints, cut_s: int) -> Floats:
        values = honest(rows, users, cut_s)
        values[:, 1] = counted(rows, users, cut_s)[:, 1]
        return values

    with pytest.raises(DataLeak, match=rf"'share of all' as of {CUT_S} changes .* for \d+ of 20 users"):
        check_features(leaking, history(days), CUT_S, NAMES, LeakConfig())


def test_at_the_cut_is_not_before_it() -> None:
    def off_by_one(rows: Interactions, users: Ints, cut_s: int) -> Floats:
        return honest(rows, users, cut_s + 1)

    with pytest.raises(DataLeak, match="'count'"):
        check_features(off_by_one, history(20), CUT_S, NAMES, LeakConfig())


def test_a_check_that_proves_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no row lies before it"):
        check_features(honest, history(), NOW_S - 1, NAMES, LeakConfig())
    with pytest.raises(ValueError, match=r"shape \(20, 3\)"):
        check_features(honest, history(), CUT_S, NAMES[:2], LeakConfig())


def test_a_split_must_be_one_by_time() -> None:
    rows = history()
    split = temporal_split(rows, Window(CUT_S, CUT_S + 5 * DAY_S))
    check_split(split.train, split.test)
    with pytest.raises(DataLeak, match="it must be later"):
        check_split(rows, split.test)
