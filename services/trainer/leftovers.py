"""What jobs left in the work folder: data sets of people under pseudonyms, and what was learnt from them half-way.

A finished job leaves nothing. One that failed or was killed leaves its data set, which no later job reads, and its
checkpoints, which only a job on the very same data would take up.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.trainer.job.files import CHECKPOINTS, CURRENT, DATA, OUTPUT

EARLY, LOG = "early", "job.log"
DAY_S = 86_400
DERIVED = (OUTPUT, EARLY, CHECKPOINTS, CURRENT)
"""Learnt from the data set, or by it; no rows of people."""


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One interaction of a person in a data set."""

    product_id: str
    kind: int
    time_s: int
    amount_micros: int
    """What was paid, in millionths; -1: not known."""


class Leftovers:
    """The folder of one tenant's jobs. Change it only while no job runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def rows_of(self, keys: Sequence[bytes]) -> Iterator[PersonRow]:
        """Interactions under these pseudonyms in data sets that can be read."""
        for data in self._data_sets():
            numbers = _numbers(data, keys)
            if not numbers:
                continue
            table = pq.read_table(data / "interactions.parquet")
            table = table.filter(pc.is_in(table["users"], pa.array(sorted(numbers), table["users"].type)))
            products = pq.read_table(data / "products.parquet", columns=["product_ids"])["product_ids"].to_pylist()
            for row in table.to_pylist():
                yield PersonRow(products[row["products"]], row["kinds"], row["times_s"], row["amount_micros"])

    def erase(self, keys: Sequence[bytes]) -> int:
        """Removes every data set with one of these pseudonyms, all that was learnt from it, and what cannot be read.

        Returns the rows of the person that were in them.
        """
        rows, touched = 0, False
        for data in self._data_sets():
            try:
                numbers = _numbers(data, keys)
                rows += _count(data, numbers) if numbers else 0
            except (OSError, pa.ArrowException, KeyError):
                numbers = {-1}  # a part of a data set: nobody can say whose rows it holds
            if numbers:
                shutil.rmtree(data, ignore_errors=True)
                touched = True
        if touched:
            for name in DERIVED:
                shutil.rmtree(self._folder / name, ignore_errors=True)
        return rows

    def older(self, days: int, now: float | None = None) -> list[Path]:
        """Data sets, checkpoints, other remains and logs that nothing changed for so many days."""
        limit = (time.time() if now is None else now) - days * DAY_S
        remains = [*self._data_sets(), *(self._folder / name for name in (*DERIVED, LOG))]
        return [path for path in remains if path.exists() and path.stat().st_mtime < limit]

    @staticmethod
    def remove(path: Path) -> None:
        """Removes one of `older`."""
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def _data_sets(self) -> list[Path]:
        """The data set and drafts of it."""
        if not self._folder.is_dir():
            return []
        return sorted(path for path in self._folder.iterdir() if path.name == DATA or path.name.startswith(f".{DATA}-"))


def _numbers(data: Path, keys: Sequence[bytes]) -> set[int]:
    wanted = set(keys)
    users = pq.read_table(data / "users.parquet", columns=["user_keys"])["user_keys"].to_pylist()
    return {number for number, key in enumerate(users) if key in wanted}


def _count(data: Path, numbers: set[int]) -> int:
    count = 0
    for path in (data / "interactions.parquet", data / "impressions.parquet"):
        if path.exists():
            users = pq.read_table(path, columns=["users"])["users"]
            count += int(pc.sum(pc.is_in(users, pa.array(sorted(numbers), users.type))).as_py() or 0)
    return count
