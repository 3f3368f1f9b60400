"""Measures of known lists."""

import numpy as np
import pytest

from services.trainer.benchmarks.log import Log
from services.trainer.benchmarks.measuring import MEASURES, rank, run
from services.trainer.benchmarks.protocols import cold, temporal
from services.trainer.benchmarks.results import as_json, as_markdown, conclude
from services.trainer.benchmarks.task import only_new, seen_products
from services.trainer.recommenders.interface import no_report
from tests.unit.trainer.recommenders.shops import shop


class Oracle:
    """Knows the truth."""

    name = "oracle"

    def __init__(self, task):
        self.table = np.zeros((task.rows.user_count, len(task.rows.product_ids)), np.float32)
        self.table[task.users] = task.truth.toarray()

    def fit(self, rows, content, report):
        self.fits = getattr(self, "fits", 0) + 1

    def scores(self, users, now_s):
        return self.table[users].copy()


@pytest.fixture
def task():
    rows = shop()
    return temporal(Log(name="tiny", rows=rows, user_ids=tuple(map(str, range(30)))), 30)


def test_who_knows_the_truth_scores_one(task):
    (found,) = run(Oracle(task), [task], no_report)
    for name in ("ndcg@10", "recall@20", "map@10", "mrr@10", "hit_rate@10"):
        assert found.values[name] == pytest.approx(np.ones(len(task.users)))
    assert tuple(found.values) == MEASURES
    assert found.peak_mib > 0


def test_tasks_of_the_same_rows_share_a_fit(task):
    oracle = Oracle(task)
    assert len(run(oracle, [task, only_new(task)] if only_new(task).users.size else [task, task], no_report)) == 2
    assert oracle.fits == 1


def test_seen_products_and_warm_ones_are_not_listed_where_they_are_taken_out(task):
    frozen = cold(task, 0.4, 0)
    lists = rank(Oracle(task), frozen, no_report)
    assert frozen.candidates[lists[lists >= 0]].all()
    from dataclasses import replace

    hidden = replace(task, hide_seen=True)
    lists, seen = rank(Oracle(task), hidden, no_report), seen_products(hidden).toarray()
    for user, line in enumerate(lists):
        assert not seen[user, line[line >= 0]].any()


def test_results_state_choices_intervals_and_differences(task):
    class Nothing(Oracle):
        def scores(self, users, now_s):
            return np.zeros_like(self.table[users])

    runs = {"nothing": {0: run(Nothing(task), [task], no_report)[0]}}
    runs["oracle"] = {seed: run(Oracle(task), [task], no_report)[0] for seed in (0, 1)}
    result = conclude(task, runs, "nothing")
    oracle = result.models[1]
    assert oracle.against.difference.low > 0
    assert oracle.against.p_value < 0.01
    assert oracle.spreads["ndcg@10"] == 0
    text = as_markdown(result)
    for word in ("ties", "seen products", "query time", "ranking", "| oracle |", "seeds ±"):
        assert word in text
    plain = as_json(result)
    assert plain["models"][1]["measures"]["ndcg@10"]["mean"] == pytest.approx(1.0)
    assert plain["models"][0]["ndcg@10_difference"] is None
