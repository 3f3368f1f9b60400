from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.datasets.splits import (
    Window,
    cut_at_share,
    leave_one_out,
    sample_users,
    temporal_split,
    validation_windows,
)
from services.trainer.learning.interactions import EventKind, Interactions
from tests.fakes.trainer.event_rows import Row, log_of


def rows_of(*lengths: int) -> Interactions:
    """Users with so many purchases each, one a second from 0 on."""
    rows = [
        Row(f"u{user}", f"p{at}", EventKind.PURCHASE, at, user * 1000 + at)
        for user, length in enumerate(lengths)
        for at in range(length)
    ]
    return log_of(rows).interactions()


def test_a_window_cuts_sharply() -> None:
    split = temporal_split(rows_of(10), Window(4, 7))
    assert split.train.times_s.tolist() == [0, 1, 2, 3]
    assert split.test.times_s.tolist() == [4, 5, 6]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.floats(0.01, 0.99))
def test_the_cut_leaves_the_share(lengths: list[int], share: float) -> None:
    rows = rows_of(*lengths)
    cut = cut_at_share(rows, share)
    assert (rows.times_s >= cut).sum() >= share * len(rows)
    assert (rows.times_s > cut).sum() < share * len(rows) + 1e-9


def test_shares_and_windows_that_are_none() -> None:
    with pytest.raises(ValueError, match=r"share is 1\.0"):
        cut_at_share(rows_of(3), 1.0)
    with pytest.raises(ValueError, match="rows is empty"):
        cut_at_share(rows_of(3).before(0), 0.5)
    with pytest.raises(ValueError, match="end_s is 3"):
        Window(3, 3)


def test_validation_windows_touch_and_end_where_asked() -> None:
    assert validation_windows(100, 10, 3) == [Window(70, 80), Window(80, 90), Window(90, 100)]


def test_the_last_and_the_one_before_are_left_out() -> None:
    held = leave_one_out(rows_of(2, 3, 0, 5))
    assert list(zip(held.test.users, held.test.times_s, strict=True)) == [(1, 2), (2, 4)]
    assert list(zip(held.validation.users, held.validation.times_s, strict=True)) == [(1, 1), (2, 3)]
    assert np.bincount(held.train.users).tolist() == [2, 1, 3]


def test_samples_are_the_same_for_the_same_seed() -> None:
    rows = rows_of(*[1] * 50)
    assert sample_users(rows, 10, 1).tolist() == sample_users(rows, 10, 1).tolist()
    assert sample_users(rows, 10, 1).tolist() != sample_users(rows, 10, 2).tolist()
    assert len(set(sample_users(rows, 10, 1))) == 10
    assert sample_users(rows, 80, 1).tolist() == list(range(50))
