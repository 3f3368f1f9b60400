from __future__ import annotations

import pytest

from services.trainer.datasets.splits import Window, sample_users, temporal_split
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


def test_a_window_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="end_s is 3"):
        Window(3, 3)


def test_samples_are_the_same_for_the_same_seed() -> None:
    rows = rows_of(*[1] * 50)
    assert sample_users(rows, 10, 1).tolist() == sample_users(rows, 10, 1).tolist()
    assert sample_users(rows, 10, 1).tolist() != sample_users(rows, 10, 2).tolist()
    assert len(set(sample_users(rows, 10, 1))) == 10
    assert sample_users(rows, 80, 1).tolist() == list(range(50))
