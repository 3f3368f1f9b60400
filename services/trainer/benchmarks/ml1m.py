"""MovieLens 1M in the files of gSASRec (Petrov & Macdonald 2023): sequences of product numbers, one user a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp

from services.trainer.benchmarks.errors import BadData
from services.trainer.benchmarks.log import STEP_S, from_sequences
from services.trainer.benchmarks.task import Task
from services.trainer.domain import Ints


def load(folder: Path) -> Task:
    """The published validation split: 512 users of the training file, the product after their `val_input`.

    A line of `val_input` is a line of `train_input` and one product more; it takes that line's place. Products come
    numbered from 1. Raises BadData when a file is missing or a validation line continues no training line.
    """
    train = _lines(folder / "train_input.txt")
    asked = _lines(folder / "val_input.txt")
    answers = np.array([line[0] for line in _lines(folder / "val_output.txt")], dtype=np.int32)
    if len(asked) != len(answers):
        raise BadData(str(folder / "val_output.txt"), f"{len(answers)} answers to {len(asked)} questions")
    numbers = {line.tobytes(): number for number, line in enumerate(train)}
    users = np.array([numbers.get(line[:-1].tobytes(), -1) for line in asked], dtype=np.int32)
    if (users < 0).any():
        raise BadData(str(folder / "val_input.txt"), "a line must be a line of train_input.txt and one product more")
    for user, line in zip(users.tolist(), asked, strict=True):
        train[user] = line
    products = int(max(answers.max(), *(line.max() for line in train))) + 1
    rows = from_sequences(train, tuple(str(number + 1) for number in range(products)))
    shape = (len(users), products)
    truth = sp.csr_matrix((np.ones(len(users), np.float32), (np.arange(len(users)), answers)), shape=shape)
    return Task(
        name="ml1m/validation",
        rows=rows,
        content=None,
        users=users,
        truth=truth,
        now_s=rows.end_time_s + STEP_S,
        hide_seen=True,
        statements={
            "data": f"MovieLens 1M, gSASRec's files: {len(train)} users, {products} products, {len(rows)} rows",
            "protocol": f"given validation file: the next product of {len(users)} users; their last input product is "
            "part of training (the published models see it only at the request)",
            "query time": "not known to models; the files hold no times, one step counts as one day",
        },
    )


def _lines(path: Path) -> list[Ints]:
    """Product numbers from 0, by line."""
    if not path.is_file():
        raise BadData(str(path), "the file does not exist")
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    try:
        return [np.array(line, dtype=np.int32) - 1 for line in lines]
    except ValueError as error:
        raise BadData(str(path), "a line must hold whole numbers, separated by spaces") from error
