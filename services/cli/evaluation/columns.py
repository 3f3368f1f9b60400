"""Reads columns of a CSV or Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from services.cli.errors import CliError


def read_columns(path: Path, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """The named columns, all of the same length. Raises CliError for no such file or column, no rows or empty cells."""
    try:
        table = pq.read_table(path) if path.suffix == ".parquet" else pyarrow.csv.read_csv(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise CliError(f"{path}: {error}") from None
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise CliError(f"{path}: no column {', '.join(missing)}; it has {', '.join(table.column_names[:20])}")
    if not table.num_rows:
        raise CliError(f"{path}: has no rows")
    return {name: _filled(path, name, table.column(name)) for name in names}


def numbers(path: Path, name: str, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The column as float64. Raises CliError where it holds something else."""
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise CliError(f"{path}: column {name} must hold numbers: {error}") from None


def _filled(path: Path, name: str, column: Any) -> npt.NDArray[Any]:
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise CliError(f"{path}: {name}[{row}] is empty: must have a value")
    found: npt.NDArray[Any] = column.to_numpy()
    return found
