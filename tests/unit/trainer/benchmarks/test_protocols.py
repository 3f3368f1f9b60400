"""Cuts leak nothing and ask what they say."""

import numpy as np
import pytest

from services.trainer.benchmarks.errors import BadData
from services.trainer.benchmarks.log import Log
from services.trainer.benchmarks.protocols import cold, last_out, temporal
from services.trainer.benchmarks.task import only_new, seen_products
from services.trainer.learning.interactions import EventKind
from tests.unit.trainer.recommenders.shops import DAY_S, rows_of, shop


def log_of(rows, timed=True):
    return Log(name="tiny", rows=rows, user_ids=tuple(map(str, range(rows.user_count))), timed=timed)


def test_a_temporal_cut_asks_known_users_for_later_purchases():
    rows = rows_of([(0, 0, 1), (0, 1, 50), (0, 2, 51, EventKind.CLICK), (1, 1, 52), (2, 0, 2)], 3, 3)
    task = temporal(log_of(rows), 10)
    assert task.users.tolist() == [0]
    assert task.truth.toarray().tolist() == [[0, 1, 0]]
    assert task.rows.times_s.max() < task.now_s
    assert task.horizon_days == 10


def test_the_last_event_of_each_user_is_asked_for_whole():
    rows = rows_of([(0, 0, 1), (0, 1, 2), (0, 2, 2), (1, 0, 9)], 3, 2)
    task = last_out(log_of(rows))
    assert task.users.tolist() == [0]
    assert task.truth.toarray().tolist() == [[0, 1, 1]]
    assert len(task.rows) == 2


def test_only_new_asks_for_no_product_the_user_met():
    task = temporal(log_of(shop()), 30)
    new = only_new(task)
    assert new.hide_seen
    assert new.name == "tiny/new"
    assert new.truth.multiply(seen_products(new)).nnz == 0
    assert np.diff(new.truth.indptr).min(initial=1) >= 1
    assert new.rows is task.rows


def test_cold_products_are_in_no_training_row_and_alone_are_asked_for():
    task = temporal(log_of(shop()), 30)
    frozen = cold(task, 0.3, seed=1)
    assert 0 < frozen.candidates.sum() < 15
    assert not frozen.candidates[frozen.rows.products].any()
    assert frozen.candidates[frozen.truth.tocoo().col].all()
    assert (cold(task, 0.3, seed=1).candidates == frozen.candidates).all()
    assert "30%" in frozen.statements["cold products"]


@pytest.mark.parametrize(
    "cut",
    [
        lambda: temporal(log_of(shop(), timed=False), 30),
        lambda: temporal(log_of(rows_of([(0, 0, 1)], 1, 1)), 30),
        lambda: last_out(log_of(rows_of([(0, 0, 1), (1, 0, 2)], 1, 2))),
        lambda: cold(temporal(log_of(shop()), 30), 0.0, 0),
    ],
)
def test_cuts_that_leave_nothing_to_measure_are_refused(cut):
    with pytest.raises(BadData):
        cut()


def test_nothing_of_the_day_of_the_cut_is_lost():
    rows = rows_of([(0, 0, day) for day in range(61)], 1, 1)
    task = temporal(log_of(rows), 30)
    assert len(task.rows) == 30
    assert task.rows.end_time_s == 29 * DAY_S
    assert task.now_s == 30 * DAY_S
