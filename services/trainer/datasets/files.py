"""Events from a file of the user's own, Parquet or CSV, for benchmarks. Users become pseudonyms on the way in.

Columns: `user`, `product`, `time` (seconds since 1970, or a timestamp; without a zone it is UTC), and where there are
any `event_type` (a name of EventKind or its number; else every row is a purchase), `quantity`, `price` (of one unit).
Rows of the same user, time and type are one event: a basket.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from services.trainer.datasets.collector import EventCollector
from services.trainer.datasets.errors import EventFileRefused
from services.trainer.datasets.events import EventChunk, EventLog, Report
from services.trainer.domain import Ints, Longs
from services.trainer.learning.interactions import EventKind, Kinds

REQUIRED = ("user", "product", "time")
OPTIONAL = ("event_type", "quantity", "price")
KEY_BYTES = 16
MICROS = 1_000_000
MOST_UNITS = 1 << 31
MOST_VALUE = 1e12
LATEST_S = 100_000_000_000
"""In the year 5138: whoever gives more gives milliseconds."""


def read_event_file(path: Path, pseudonym_key: bytes, report: Report) -> EventLog:
    """Reads a whole file into memory. Raises EventFileRefused naming column, row and rule."""
    table = _table(path)
    for name in table.column_names:
        if table[name].null_count:
            row = int(np.flatnonzero(table[name].is_null().to_numpy())[0])
            raise EventFileRefused(path, f"column {name!r} has no value in row {row + 1}; every row needs one")
    for name in ("user", "product"):
        if (row := pc.index(table[name].cast(pa.string()), "").as_py()) >= 0:
            raise EventFileRefused(path, f"column {name!r} is empty in row {row + 1}; every row needs one")
    if not table.num_rows:
        raise EventFileRefused(path, "it has no rows")
    users, user_keys = _users(table["user"], pseudonym_key)
    products, product_ids = _coded(table["product"])
    times_s, kinds = _times(path, table["time"]), _kinds(path, table)
    collector = EventCollector(report)
    none, count = np.full(table.num_rows, -1, dtype=np.int32), table.num_rows
    collector.add(
        EventChunk(
            user_keys=user_keys,
            product_ids=product_ids,
            requests=(),
            currencies=(),
            users=users,
            products=products,
            request_indexes=none,
            currency_indexes=none,
            kinds=kinds,
            times_s=times_s,
            events=_baskets(users, times_s, kinds),
            quantities=_quantities(path, table),
            positions=none,
            unit_price_micros=_prices(path, table),
            devices=np.zeros(count, dtype=np.int8),
            total_rows=count,
        )
    )
    log = collector.finish()
    assert log is not None, "there are rows"
    return log


def _table(path: Path) -> pa.Table:
    """The columns that have a meaning."""
    names = path.name.lower()
    try:
        if names.endswith((".csv", ".csv.gz")):
            texts = pyarrow.csv.ConvertOptions(column_types={"user": pa.string(), "product": pa.string()})
            table = pyarrow.csv.read_csv(path, convert_options=texts)
        elif names.endswith((".parquet", ".pq")):
            table = pq.read_table(path)
        else:
            raise EventFileRefused(path, "its name must end in .parquet, .pq, .csv or .csv.gz")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise EventFileRefused(path, f"it cannot be read ({error})") from error
    if missing := [name for name in REQUIRED if name not in table.column_names]:
        found = ", ".join(table.column_names)
        raise EventFileRefused(path, f"column {missing[0]!r} is missing; there are: {found}")
    return table.select([name for name in (*REQUIRED, *OPTIONAL) if name in table.column_names])


def _coded(column: pa.ChunkedArray) -> tuple[Ints, list[str]]:
    """Numbers and what they stand for."""
    coded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    return coded.indices.to_numpy(zero_copy_only=False).astype(np.int32), coded.dictionary.to_pylist()


def _users(column: pa.ChunkedArray, key: bytes) -> tuple[Ints, list[bytes]]:
    """Numbers in the order of the pseudonyms, and these."""
    numbers, names = _coded(column)
    keys = [hmac.digest(key, b"file\0" + name.encode(), hashlib.sha256)[:KEY_BYTES] for name in names]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    ranks = np.empty(len(keys), dtype=np.int32)
    ranks[order] = np.arange(len(keys), dtype=np.int32)
    return ranks[numbers], [keys[place] for place in order]


def _times(path: Path, column: pa.ChunkedArray) -> Longs:
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        column = pc.cast(column, pa.timestamp("s"), safe=False).cast(pa.int64())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise EventFileRefused(path, f"column 'time' is of type {column.type}; it must be seconds or a timestamp")
    seconds = column.to_numpy()
    _refuse(path, "time", seconds, lambda values: (values >= 0) & (values < LATEST_S), "seconds since 1970")
    return np.asarray(seconds, dtype=np.int64)


def _kinds(path: Path, table: pa.Table) -> Kinds:
    """The type of each row."""
    if "event_type" not in table.column_names:
        return np.full(table.num_rows, EventKind.PURCHASE, dtype=np.int8)
    numbers, names = _coded(table["event_type"])
    known = {kind.name: kind.value for kind in EventKind} | {str(kind.value): kind.value for kind in EventKind}
    values = [known.get(name.strip().upper().replace("-", "_"), 0) for name in names]
    for name, value in zip(names, values, strict=True):
        if not value:
            allowed = ", ".join(kind.name.lower() for kind in EventKind)
            raise EventFileRefused(path, f"event_type {name!r} is unknown; it must be one of {allowed} or its number")
    return np.array(values, dtype=np.int8)[numbers]


def _quantities(path: Path, table: pa.Table) -> Ints:
    """Units of each row; 1 where the file does not say."""
    if "quantity" not in table.column_names:
        return np.ones(table.num_rows, dtype=np.int32)
    values = _numbers(path, table, "quantity")
    _refuse(path, "quantity", values, lambda found: (found % 1 == 0) & (found < MOST_UNITS), "a whole number of units")
    return values.astype(np.int32)


def _prices(path: Path, table: pa.Table) -> Longs:
    """Price of a unit in millionths; -1 where the file does not say."""
    if "price" not in table.column_names:
        return np.full(table.num_rows, -1, dtype=np.int64)
    return np.asarray(np.rint(_numbers(path, table, "price") * MICROS), dtype=np.int64)


def _numbers(path: Path, table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """A column of numbers that are not negative."""
    if not (pa.types.is_integer(table[name].type) or pa.types.is_floating(table[name].type)):
        raise EventFileRefused(path, f"column {name!r} is of type {table[name].type}; it must hold numbers")
    values = np.asarray(table[name].to_numpy(), dtype=np.float64)
    _refuse(path, name, values, lambda found: (found >= 0) & (found < MOST_VALUE), f"from 0 to {MOST_VALUE:.0e}")
    return values


def _refuse(
    path: Path,
    name: str,
    values: npt.NDArray[Any],
    holds: Callable[[npt.NDArray[Any]], npt.NDArray[np.bool_]],
    rule: str,
) -> None:
    if len(broken := np.flatnonzero(~holds(values))):
        row = int(broken[0])
        raise EventFileRefused(path, f"column {name!r} is {values[row]} in row {row + 1}; it must be {rule}")


def _baskets(users: Ints, times_s: Longs, kinds: Kinds) -> Longs:
    """The number of each row's event, by time."""
    order = np.lexsort((kinds, users, times_s))
    changed = np.zeros(len(order), dtype=np.int64)
    for column in (users, times_s, kinds):
        changed[1:] |= column[order][1:] != column[order][:-1]
    events = np.empty(len(order), dtype=np.int64)
    events[order] = np.cumsum(changed)
    return events
