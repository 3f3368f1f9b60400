"""Fits one model, ranks all products for every user asked about, and measures.

Legend: U users asked about, P products, K places of a list.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.trainer.benchmarks.task import Task, seen_products
from services.trainer.domain import Ints
from services.trainer.recommenders.interface import Recommender, Report
from shared.evaluation.arrays import Doubles, Longs
from shared.evaluation.beyond_accuracy import coverage, novelty, self_information
from shared.evaluation.ranking import Truth, average_precision, hit_rate, hits, ndcg, recall, reciprocal_rank, top_k

HEAD, DEPTH = 10, 20
USER_BLOCK = 256
MEASURES = ("ndcg@10", "recall@20", "map@10", "mrr@10", "hit_rate@10", "novelty@10")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One fit, measured on one task."""

    values: Mapping[str, Doubles]
    """By measure: one value a user `[U]`."""
    coverage: float
    """Of the first ten places, over all products that may be ranked."""
    fit_seconds: float
    rank_seconds: float
    peak_mib: float
    """The largest resident memory of the process until then."""


def run(model: Recommender, tasks: Sequence[Task], report: Report) -> list[Run]:
    """Fits once and measures on tasks that share their rows; raises what the model raises."""
    start = time.perf_counter()
    model.fit(tasks[0].rows, tasks[0].content, report)
    fit_seconds = time.perf_counter() - start
    runs = []
    for task in tasks:
        start = time.perf_counter()
        lists = rank(model, task, report)
        rank_seconds = time.perf_counter() - start
        runs.append(
            Run(
                values=measured(lists, task),
                coverage=coverage(lists[:, :HEAD], _candidate_count(task)),
                fit_seconds=fit_seconds,
                rank_seconds=rank_seconds,
                peak_mib=peak_mib(),
            )
        )
    return runs


def rank(model: Recommender, task: Task, report: Report) -> Longs:
    """The best products of each user `[U, K]`, of those that may be ranked; ties go to the smaller number."""
    seen = seen_products(task) if task.hide_seen else None
    blocks = []
    for start in range(0, len(task.users), USER_BLOCK):
        users: Ints = task.users[start : start + USER_BLOCK]
        scores = model.scores(users, task.now_s)
        if seen is not None:
            scores[seen[start : start + USER_BLOCK].nonzero()] = -np.inf
        if task.candidates is not None:
            scores[:, ~task.candidates] = -np.inf
        blocks.append(top_k(scores, DEPTH))
        report(f"rank with {model.name}", start + len(users), len(task.users))
    return np.concatenate(blocks)


def measured(lists_UK: Longs, task: Task) -> dict[str, Doubles]:
    """All measures of lists, by user `[U]`; novelty against the people who met a product in training."""
    pairs = task.truth.tocoo()
    truth = Truth.of_pairs(pairs.row, pairs.col, len(task.users))
    found_UK, relevant = hits(lists_UK, truth), truth.counts
    products = len(task.rows.product_ids)
    met = np.unique(task.rows.users.astype(np.int64) * products + task.rows.products)
    owners = np.bincount(met % products, minlength=products)
    bits = self_information(owners, len(np.unique(task.rows.users)))
    values = (
        ndcg(found_UK, relevant, HEAD),
        recall(found_UK, relevant, DEPTH),
        average_precision(found_UK, relevant, HEAD),
        reciprocal_rank(found_UK, relevant, HEAD),
        hit_rate(found_UK, relevant, HEAD),
        np.nan_to_num(novelty(lists_UK[:, :HEAD], bits)),
    )
    return dict(zip(MEASURES, values, strict=True))


def peak_mib() -> float:
    """Largest resident memory of this process so far.

    `getrusage` would do, but Linux lets a started process inherit the figure of the one that started it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _candidate_count(task: Task) -> int:
    return len(task.rows.product_ids) if task.candidates is None else int(task.candidates.sum())
