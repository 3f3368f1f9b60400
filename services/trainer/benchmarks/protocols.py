"""How a log is cut into what models learn from and what they foretell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from services.trainer.benchmarks.errors import BadData
from services.trainer.benchmarks.log import Log
from services.trainer.benchmarks.task import Task
from services.trainer.learning.interactions import EventKind, Interactions
from services.trainer.learning.pairs import DAY_S
from services.trainer.recommenders.holdout import last_events


def temporal(log: Log, days: float, cut_s: int | None = None) -> Task:
    """What is bought within `days` from the cut on, by users with rows before it; the cut is `days` before the end.

    Raises BadData when the log has no times or nothing is left on one side of the cut.
    """
    if not log.timed:
        raise BadData(log.name, "a temporal cut needs times; use the last event of each user")
    moment = log.rows.end_time_s - round(days * DAY_S) if cut_s is None else cut_s
    train = log.rows.before(moment)
    later = log.rows.between(moment, moment + round(days * DAY_S) + 1).of_kind(EventKind.PURCHASE)
    task = _task(log, train, later, moment)
    query = "known to models as the moment of the cut"
    return replace(
        task, horizon_days=days, statements={**task.statements, "protocol": f"last {days:g} days", "query time": query}
    )


def last_out(log: Log) -> Task:
    """The last event of each user with at least two events. Raises BadData when there is no such user."""
    last = last_events(log.rows)
    task = _task(log, log.rows.where(~last), log.rows.where(last), log.rows.end_time_s)
    query = "known to models" if log.timed else "not known to models; one step counts as one day"
    return replace(task, statements={**task.statements, "protocol": "last event of each user", "query time": query})


def cold(task: Task, share: float, seed: int) -> Task:
    """Takes a random share of the products out of training; only they are ranked, and only they are right.

    Raises BadData when no user asked about has such a product.
    """
    drawn = np.random.default_rng(seed).random(len(task.rows.product_ids)) < share
    truth = (task.truth @ sp.diags(drawn.astype(np.float32))).tocsr()
    truth.eliminate_zeros()
    asked = np.flatnonzero(np.diff(truth.indptr))
    if not len(asked):
        raise BadData(task.name, "no user asked about bought one of the cold products")
    statement = f"{share:.0%} of the products drawn (seed {seed}), taken out of training; only they are ranked"
    return replace(
        task,
        name=f"{task.name.rpartition('/')[0]}/cold",
        rows=task.rows.where(~drawn[task.rows.products]),
        users=task.users[asked],
        truth=truth[asked],
        candidates=drawn,
        statements={**task.statements, "cold products": statement},
    )


def _task(log: Log, train: Interactions, later: Interactions, now_s: int) -> Task:
    known = np.zeros(log.rows.user_count, dtype=np.bool_)
    known[train.users] = True
    later = later.where(known[later.users])
    if not len(train) or not len(later):
        raise BadData(log.name, "nothing is left on one side of the cut")
    users, numbers = np.unique(later.users, return_inverse=True)
    shape = (len(users), len(log.rows.product_ids))
    truth = sp.csr_matrix((np.ones(len(later), np.float32), (numbers, later.products)), shape=shape)
    truth.data[:] = 1.0
    return Task(
        name=f"{log.name}/all",
        rows=train,
        content=log.content,
        users=users.astype(np.int32),
        truth=truth,
        now_s=max(now_s, train.end_time_s),
        statements=log.statements,
    )
