from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.trainer.datasets.errors import EventFileRefused
from services.trainer.datasets.events import EventLog
from services.trainer.datasets.files import read_event_file
from services.trainer.learning.interactions import EventKind

CSV = """user,product,time,event_type,quantity,price,note
7,b,1970-01-01 00:01:40,purchase,2,1.25,x
7,a,1970-01-01 00:01:40,Purchase,1,3,
8,007,1970-01-01 00:00:50,product_view,1,0,
"""


def read(path: Path, key: bytes = b"k") -> EventLog:
    return read_event_file(path, key, lambda step, done, total: None)


def bought(log: EventLog) -> list[tuple[str, int, int, int, int, int]]:
    columns = (log.kinds, log.times_s, log.events, log.quantities, log.unit_price_micros)
    products = [log.product_ids[number] for number in log.products]
    return sorted(zip(products, *(column.tolist() for column in columns), strict=True))


def test_a_csv_file_becomes_a_log(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(CSV)
    log = read(path)
    assert bought(log) == [
        ("007", EventKind.PRODUCT_VIEW, 50, 0, 1, 0),
        ("a", EventKind.PURCHASE, 100, 1, 1, 3_000_000),
        ("b", EventKind.PURCHASE, 100, 1, 2, 1_250_000),
    ]
    assert len(set(log.user_keys)) == 2
    assert all(len(key) == 16 for key in log.user_keys)
    assert read(path).user_keys == log.user_keys
    assert set(read(path, b"other").user_keys).isdisjoint(log.user_keys)


def test_parquet_with_the_least_columns_is_purchases(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table({"user": [1, 1, 2], "product": [5, 6, 5], "time": [10, 10, 10]}), path)
    log = read(path)
    assert [row[0] for row in bought(log)] == ["5", "5", "6"]
    assert set(log.kinds) == {EventKind.PURCHASE}
    assert log.interactions().purchases().baskets.tolist() == [0, 0, 1]
    assert set(log.unit_price_micros) == {-1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user,time\nu,1\n", "column 'product' is missing; there are: user, time"),
        ("user,product,time\nu,a,1\n,b,2\n", "column 'user' is empty in row 2"),
        ("user,product,time\nu,a,1\nu,b,\n", "column 'time' has no value in row 2"),
        ("user,product,time\nu,a,1700000000000\n", "column 'time' is 1700000000000 in row 1; it must be seconds"),
        ("user,product,time\nu,a,soon\n", "column 'time' is of type string"),
        (
            "user,product,time,event_type\nu,a,1,stare\n",
            "event_type 'stare' is unknown; it must be one of product_view",
        ),
        ("user,product,time,quantity\nu,a,1,0.5\n", "column 'quantity' is 0.5 in row 1; it must be a whole number"),
        ("user,product,time,price\nu,a,1,-2\n", "column 'price' is -2.0 in row 1"),
        ("user,product,time,price\nu,a,1,free\n", "column 'price' is of type string; it must hold numbers"),
        ("user,product,time\n", "it has no rows"),
        ("", "it cannot be read"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "events.csv"
    path.write_text(text)
    with pytest.raises(EventFileRefused) as caught:
        read(path)
    assert message in str(caught.value)


def test_other_kinds_of_files_and_missing_ones(tmp_path: Path) -> None:
    with pytest.raises(EventFileRefused, match=r"must end in \.parquet"):
        read(tmp_path / "events.xlsx")
    with pytest.raises(EventFileRefused, match="cannot be read"):
        read(tmp_path / "events.parquet")
