"""What failed jobs leave behind, and one person in it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from services.trainer.datasets.card import Provenance
from services.trainer.datasets.store import DataSet, write_data_set
from services.trainer.learning.interactions import EventKind, Interactions
from services.trainer.leftovers import DAY_S, Leftovers

ANN, BOB, EVE = b"a" * 16, b"b" * 16, b"e" * 16


def left(folder: Path) -> Leftovers:
    """Three rows of Ann's and one of Bob's, with checkpoints beside."""
    rows = Interactions(
        product_ids=("milk", "tea"),
        user_count=2,
        users=np.array([0, 0, 0, 1], np.int32),
        products=np.array([0, 1, 1, 0], np.int32),
        kinds=np.full(4, EventKind.PURCHASE, np.int8),
        times_s=np.arange(4, dtype=np.int64),
        events=np.arange(4, dtype=np.int64),
        amount_micros=np.full(4, 5, np.int64),
    )
    about = Provenance(source="test", filters=(), pseudonymisation="", code_version="", create_time_s=0)
    write_data_set(folder / "data", DataSet(user_keys=(ANN, BOB), interactions=rows), about, lambda *_: None)
    for name in ("checkpoints", "output", "early"):
        (folder / name).mkdir()
        (folder / name / "weights.safetensors").write_bytes(b"w")
    return Leftovers(folder)


def test_a_persons_rows_are_shown(tmp_path: Path) -> None:
    rows = list(left(tmp_path).rows_of([ANN]))
    assert [(row.product_id, row.time_s, row.amount_micros) for row in rows] == [
        ("milk", 0, 5),
        ("tea", 1, 5),
        ("tea", 2, 5),
    ]
    assert not list(Leftovers(tmp_path).rows_of([EVE]))


def test_a_data_set_with_the_person_goes_with_all_that_was_learnt_from_it(tmp_path: Path) -> None:
    leftovers = left(tmp_path)
    assert leftovers.erase([EVE]) == 0
    assert (tmp_path / "data").exists()
    assert leftovers.erase([EVE, ANN]) == 3
    assert not list(tmp_path.iterdir())
    assert leftovers.erase([ANN]) == 0, "again is no error"


def test_a_half_written_data_set_goes_whoever_is_in_it(tmp_path: Path) -> None:
    leftovers = left(tmp_path)
    draft = tmp_path / ".data-abc"
    draft.mkdir()
    (draft / "users.parquet").write_bytes(b"PAR1 cut off")
    assert leftovers.erase([EVE]) == 0
    assert not draft.exists()
    assert (tmp_path / "data").exists()


def test_remains_go_after_their_time(tmp_path: Path) -> None:
    leftovers = left(tmp_path)
    now = (tmp_path / "data").stat().st_mtime + 8 * DAY_S
    os.utime(tmp_path / "early", (now, now))
    assert sorted(path.name for path in leftovers.older(7, now)) == ["checkpoints", "data", "output"]
    for path in leftovers.older(7, now):
        leftovers.remove(path)
    assert [path.name for path in tmp_path.iterdir()] == ["early"]
    assert Leftovers(tmp_path / "nobody").older(7) == []
