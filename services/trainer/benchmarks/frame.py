"""Any log as a table: columns user, product, time and, if there are several types of events, event_type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from services.trainer.benchmarks.errors import BadData
from services.trainer.benchmarks.log import Log, events_of
from services.trainer.domain import Ints
from services.trainer.learning.interactions import EventKind, Interactions, Kinds

NEEDED = ("user", "product", "time")
EVENT_TYPES = {kind.name.lower(): int(kind) for kind in EventKind}


def load(path: Path) -> Log:
    """Reads a .parquet or .csv file; `time` is a timestamp (UTC) or seconds since 1970.

    `event_type` holds names such as product_view, add_to_cart, purchase; without it every row is a purchase. Rows of
    one user at one moment are one event. Raises BadData, naming the column and the rule.
    """
    table = _table(path)
    missing = [name for name in NEEDED if name not in table.column_names]
    if missing:
        raise BadData(str(path), f"must have the columns {', '.join(NEEDED)}; {', '.join(missing)} is missing")
    if any(table[name].null_count for name in NEEDED) or not len(table):
        raise BadData(str(path), "must have rows, without missing users, products and times")
    users, user_ids = _numbered(table["user"])
    products, product_ids = _numbered(table["product"])
    times_s = _seconds(table["time"], path)
    rows = Interactions.of(
        product_ids, len(user_ids), (users, products, _kinds(table, path), times_s, events_of(users, times_s))
    )
    statement = f"{path.name}: {len(user_ids)} users, {len(product_ids)} products, {len(rows)} rows"
    return Log(name="frame", rows=rows, user_ids=user_ids, statements={"data": statement, "texts": "none"})


def _table(path: Path) -> Any:
    readers = {".parquet": pq.read_table, ".csv": pyarrow.csv.read_csv}
    if path.suffix not in readers or not path.is_file():
        raise BadData(str(path), "must be an existing .parquet or .csv file")
    try:
        return readers[path.suffix](path)
    except pa.ArrowInvalid as error:
        raise BadData(str(path), f"cannot be read: {error}") from error


def _numbered(column: Any) -> tuple[Ints, tuple[str, ...]]:
    """Numbers in ascending order of the name."""
    names, numbers = np.unique(np.array(column.cast(pa.string()).to_pylist(), dtype=object), return_inverse=True)
    return numbers.astype(np.int32), tuple(names.tolist())


def _seconds(column: Any, path: Path) -> Any:
    if pa.types.is_timestamp(column.type):
        return np.asarray(column.cast(pa.timestamp("s"), safe=False).cast(pa.int64()), dtype=np.int64)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return np.asarray(pc.floor(column), dtype=np.float64).astype(np.int64)
    raise BadData(str(path), f"time must be a timestamp or seconds since 1970, is {column.type}")


def _kinds(table: Any, path: Path) -> Kinds:
    if "event_type" not in table.column_names:
        return np.full(len(table), EventKind.PURCHASE, dtype=np.int8)
    names = table["event_type"].to_pylist()
    unknown = sorted({str(name) for name in names} - EVENT_TYPES.keys())
    if unknown:
        raise BadData(str(path), f"event_type {unknown[0]!r} must be one of {', '.join(EVENT_TYPES)}")
    return np.array([EVENT_TYPES[name] for name in names], dtype=np.int8)
