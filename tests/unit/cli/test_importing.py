from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mercato.gateway.v1 import product_pb2

from services.cli.errors import CliError
from services.cli.importing.items import DOCUMENTS, EVENTS, PRODUCTS, ItemReader
from services.cli.importing.mapping import MappingError, parse_mapping
from services.cli.importing.rejects import RejectsFile
from services.cli.importing.rows import MAX_LINE_BYTES, MIN_UNPACKED_BYTES, Source

MAP = (
    "product_id=id",
    "title=name",
    "price=cents|cents:USD",
    "category_path=path|split:>",
    "publish_time=since|seconds",
    "attributes=attr_?_*",
    "availability:=AVAILABILITY_IN_STOCK",
)
ROW = {
    "id": 7,
    "name": "Milk",
    "cents": 199,
    "path": "Food > Dairy",
    "since": 1_600_000_000,
    "attr_t_color": "white",
    "attr_n_size": 2.5,
}


def mapped(row: dict[str, Any], *rules: str) -> dict[str, Any]:
    return parse_mapping(rules or MAP, product_pb2.Product.DESCRIPTOR).apply(row)


def test_a_row_becomes_a_product() -> None:
    made = mapped(ROW)
    assert made["product_id"] == "7"
    assert made["category_path"] == ["Food", "Dairy"]
    assert made["attributes"] == [{"name": "color", "texts": ["white"]}, {"name": "size", "numbers": [2.5]}]
    price = made["price"]
    assert (int(price["units"]), price["nanos"], price["currency_code"]) == (1, 990_000_000, "USD")


def test_two_columns_may_carry_one_attribute() -> None:
    made = mapped(
        {"id": "1", "name": "x", "attr_t_size": "XL", "attr_n_size": 50}, "product_id=id", "attributes=attr_?_*"
    )
    assert made["attributes"] == [{"name": "size", "texts": ["XL"], "numbers": [50]}]


@pytest.mark.parametrize("rule", ["colour=c", "price=c|euros:X", "title", "attributes=", "category_path=p|join:,"])
def test_a_wrong_mapping_is_refused_before_anything_is_read(rule: str) -> None:
    with pytest.raises(MappingError):
        mapped(ROW, "product_id=id", rule)


def read(
    path: Path, tmp_path: Path, kind: Any = PRODUCTS, rules: tuple[str, ...] = ()
) -> tuple[list[Any], list[dict[str, Any]]]:
    rejects = tmp_path / "rejects.jsonl"
    mapping = parse_mapping(rules, kind.item.DESCRIPTOR) if rules else None
    with RejectsFile(rejects) as sink:
        items = [item for batch in ItemReader(kind, mapping, sink).batches([Source(path)]) for item in batch.items]
    lines = rejects.read_text().splitlines() if rejects.exists() else []
    return items, [json.loads(line) for line in lines]


def test_bad_lines_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "products.jsonl"
    path.write_bytes(
        b'{"productId": "a", "title": "A"}\n'
        b"not json\n"
        b'{"productId": "b", "title": "\xff\xfe"}\n'
        b'{"productId": "c", "title": "C", "price": {"units": NaN}}\n'
        b'{"productId": "d", "title": "D", "colour": "red"}\n'
        b'{"productId": "e", "title": {"en": "E"}}\n'
        b"\n"
        b'[1, 2]\n'
        b'{"productId": "f", "title": "' + b"x" * (4 * 1024 * 1024) + b'"}\n'
        b'{"product_id": "g", "title": "G", "price": {"units": "3", "currencyCode": "EUR"}}\n'
        b'{"productId": "h", "title": "cut'
    )  # fmt: skip
    items, rejects = read(path, tmp_path)
    assert [item.product_id for item in items] == ["a", "g"]
    assert [reject["line"] for reject in rejects] == [2, 3, 4, 5, 6, 8, 9, 11]
    assert all(reject["violations"] and reject["message"] for reject in rejects)
    assert "colour" in json.dumps(rejects[3])


@pytest.mark.parametrize("zipped", [False, True])
def test_csv_and_parquet_and_gzip(tmp_path: Path, zipped: bool) -> None:
    text = b'id,name,cents,path\n1,"Milk, whole",199,Food > Dairy\n2,Bread,abc,Food\n3,Butter,250,Food\n'
    path = tmp_path / ("p.csv.gz" if zipped else "p.csv")
    path.write_bytes(gzip.compress(text) if zipped else text)
    items, rejects = read(path, tmp_path, rules=MAP[:4])
    assert [(item.product_id, item.title) for item in items] == [("1", "Milk, whole"), ("3", "Butter")]
    assert len(rejects) == 1
    assert "price" in json.dumps(rejects[0])
    table = tmp_path / "p.parquet"
    pq.write_table(pa.table({"product_id": ["x", "y"], "title": ["X", "Y"]}), table)
    assert [item.product_id for item in read(table, tmp_path)[0]] == ["x", "y"]


def test_events_and_documents(tmp_path: Path) -> None:
    events = tmp_path / "e.csv"
    events.write_text("id,who,what,when\n1,u1,p1,2026-01-05 10:00:00\n")
    rules = (
        "event_id=id",
        "user_id=who",
        "products.product_id=what",
        "event_time=when",
        "event_type:=USER_EVENT_TYPE_PRODUCT_VIEW",
    )
    items, rejects = read(events, tmp_path, EVENTS, rules)
    assert not rejects
    assert (items[0].products[0].product_id, items[0].event_time.ToJsonString()) == ("p1", "2026-01-05T10:00:00Z")
    page = tmp_path / "returns.md"
    page.write_text("# Returns and refunds\n\nThirty days.\n")
    documents, _ = read(page, tmp_path, DOCUMENTS)
    assert (documents[0].document_id, documents[0].title) == ("returns", "Returns and refunds")


def test_a_large_file_is_read_in_bounded_batches(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text("".join(f'{{"productId": "p{n}", "title": "T"}}\n' for n in range(1203)))
    with RejectsFile(tmp_path / "r.jsonl") as sink:
        sizes = [len(batch) for batch in ItemReader(PRODUCTS, None, sink).batches([Source(path)])]
    assert sum(sizes) == 1203
    assert max(sizes) <= 500


def test_a_stray_quote_costs_its_own_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    rows = [f"{n},Article {n}\n" for n in range(200)]
    rows[5], rows[9] = '5,"5 inch\n', '9,"9 inch" screen\n'
    rows[20] = '20,"two\nlines"\n'
    path.write_text("product_id,title\n" + "".join(rows))
    items, rejects = read(path, tmp_path)
    assert {item.product_id for item in items} == {str(n) for n in range(200)} - {"5", "9"}
    assert [reject["line"] for reject in rejects] == [7, 11]
    assert next(item.title for item in items if item.product_id == "20") == "two\nlines"


@pytest.mark.parametrize(
    ("kind", "rule", "value"),
    [
        (EVENTS, "event_time=v", "0001-01-01T00:00:00+01:00"),
        (EVENTS, "event_time=v", "9999-12-31T23:59:59-01:00"),
        (EVENTS, "event_time=v|seconds", "1e300"),
        (PRODUCTS, "price=v|money:EUR", "1e99999"),
        (PRODUCTS, "price=v|cents:EUR", "1e999999"),
        (PRODUCTS, "stock_quantity=v|number", "1e400"),
        (PRODUCTS, "attributes=v|json", "[1, 2]"),
    ],
)
def test_no_value_stops_an_import(tmp_path: Path, kind: Any, rule: str, value: str) -> None:
    path = tmp_path / "x.jsonl"
    lines = [{"id": "a", "v": value}, {"id": "b"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    names = ("product_id=id", "title=id") if kind is PRODUCTS else ("event_id=id",)
    items, rejects = read(path, tmp_path, kind, (*names, rule))
    assert [getattr(item, kind.id_field) for item in items] == ["b"]
    assert [reject["line"] for reject in rejects] == [1]


def test_parquet_of_older_writers_and_broken_texts(tmp_path: Path) -> None:
    table = tmp_path / "p.parquet"
    ids = pa.array([b"a", b"\xff", b"c"], pa.binary())
    pq.write_table(pa.table({"product_id": ids, "title": ["A", "B", "C"]}), table)
    items, rejects = read(table, tmp_path)
    assert [item.product_id for item in items] == ["a", "c"]
    assert [(reject["line"], reject["violations"][0]["rule"]) for reject in rejects] == [(2, "line.utf8")]


@pytest.mark.parametrize(
    "rules", [("price=p", "price.currency_code:=EUR"), ("attributes=p|json", "attributes.color=c")]
)
def test_a_field_is_given_as_a_whole_or_in_parts(rules: tuple[str, str]) -> None:
    with pytest.raises(MappingError, match="as a whole"):
        mapped(ROW, "product_id=id", *rules)


def test_a_csv_line_without_an_end_is_a_problem_and_not_nothing(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(b"product_id,title\n" + b"x" * (MAX_LINE_BYTES + 2))
    rows = list(Source(path).rows())
    assert [row.problem.rule if row.problem else "" for row in rows] == ["line.too_long"]


def test_a_packed_table_that_unpacks_without_measure_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(MIN_UNPACKED_BYTES // 1_000_000 + 2):
            file.write(bytes(1_000_000))
    with pytest.raises(CliError, match="unpacks to more than"):
        list(Source(path).rows())
