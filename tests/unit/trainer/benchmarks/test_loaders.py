"""Loaders read their formats, from fixtures made here, and say what is wrong with a file."""

import json

import numpy as np
import pandas as pd
import pytest

from services.trainer.benchmarks import amazon, demo, frame, ml1m
from services.trainer.benchmarks.errors import BadChoice, BadData
from services.trainer.benchmarks.texts import lsa_vectors, text_encoder
from services.trainer.learning.interactions import EventKind


@pytest.fixture
def movies(tmp_path):
    (tmp_path / "train_input.txt").write_text("1 2 3\n4 1\n2 5 6 1\n")
    (tmp_path / "val_input.txt").write_text("4 1 2\n2 5 6 1 3\n")
    (tmp_path / "val_output.txt").write_text("5\n4\n")
    return tmp_path


def test_movies_ask_for_the_product_after_the_longer_line(movies):
    task = ml1m.load(movies)
    assert task.users.tolist() == [1, 2]
    assert task.truth.toarray().nonzero()[1].tolist() == [4, 3]
    sequence = task.rows.products[task.rows.users == 1]
    assert sequence.tolist() == [3, 0, 1]
    assert len(task.rows) == 3 + 3 + 5
    assert task.rows.product_ids == ("1", "2", "3", "4", "5", "6")
    assert task.hide_seen
    assert task.horizon_days is None
    assert (task.rows.times_s < task.now_s).all()


def test_movies_refuse_a_line_that_continues_nothing(movies):
    (movies / "val_input.txt").write_text("4 1 2\n9 9 9\n")
    with pytest.raises(BadData, match=r"val_input.*train_input"):
        ml1m.load(movies)


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [("train_input.txt", "1 x\n", "whole numbers"), ("val_output.txt", "5\n", "1 answers to 2")],
)
def test_movies_say_which_file_is_wrong(movies, name, text, rule):
    (movies / name).write_text(text)
    with pytest.raises(BadData, match=rule):
        ml1m.load(movies)


def test_movies_say_which_file_is_missing(movies):
    (movies / "val_output.txt").unlink()
    with pytest.raises(BadData, match=r"val_output\.txt: the file does not exist"):
        ml1m.load(movies)


@pytest.fixture
def office(tmp_path):
    lines = [{"user_id": "A", "items": [2, 0, 1]}, {"user_id": "B", "items": [1, 1]}]
    (tmp_path / "Office.sequences.jsonl").write_text("\n".join(map(json.dumps, lines)))
    items = {
        "0": {"title": "blue pen", "brand": "Bic"},
        "1": {"title": "red pen", "brand": ""},
        "3": {"title": "paper", "brand": "Bic"},
    }
    (tmp_path / "Office.item.json").write_text(json.dumps(items))
    return tmp_path


def test_reviews_keep_order_and_describe_every_product(office):
    log = amazon.load(office, text_encoder("lsa"))
    assert log.user_ids == ("A", "B")
    assert log.rows.products.tolist() == [2, 0, 1, 1, 1]
    assert log.rows.product_ids == ("0", "1", "2", "3")
    assert not log.timed
    assert [log.content.brand_names[at] for at in log.content.brands] == ["Bic", "", "", "Bic"]
    assert log.content.text_vectors.shape[0] == 4


def test_sequences_end_at_the_same_moment(office):
    rows = amazon.load(office, None).rows
    ends = [int(rows.times_s[rows.users == user].max()) for user in range(2)]
    assert ends[0] == ends[1] == rows.end_time_s


@pytest.mark.parametrize("line", ["{", '{"user_id": "A"}', '{"user_id": "A", "items": ["x"]}'])
def test_reviews_say_which_line_is_wrong(office, line):
    (office / "Office.sequences.jsonl").write_text('{"user_id": "A", "items": [1]}\n' + line)
    with pytest.raises(BadData, match="line 2"):
        amazon.load(office, None)


def test_reviews_need_exactly_one_file_of_each(office):
    (office / "Other.item.json").write_text("{}")
    with pytest.raises(BadData, match="exactly one"):
        amazon.load(office, None)


def tables():
    """One household with six baskets before the cut, one with two; one product of twelve rows, one of one."""
    lines = []
    start = pd.Timestamp("2017-01-01")
    for day in range(12):
        lines.append((1, 100 + day, 7, 1, 2.0, start + pd.Timedelta(days=day)))
    lines += [(1, 100, 7, 1, 2.0, start), (1, 101, 8, 1, 5.0, start), (1, 102, 7, 0, 0.0, start)]
    lines += [(2, 200, 7, 1, 2.0, start), (2, 201, 7, 1, 2.0, start)]
    lines += [(1, 300, 7, 3, 6.0, start + pd.Timedelta(days=60)), (2, 301, 7, 1, 2.0, start + pd.Timedelta(days=60))]
    columns = ["household_id", "basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp"]
    products = pd.DataFrame(
        {
            "product_id": [7, 8],
            "manufacturer_id": [1, 2],
            "department": ["DAIRY", "DAIRY"],
            "brand": ["Private", "National"],
            "product_category": ["MILK", None],
            "product_type": ["MILK", "CHEESE"],
            "package_size": ["1 GA", None],
        }
    )
    return pd.DataFrame(lines, columns=columns), products


def test_the_demo_keeps_households_and_products_with_enough_rows_before_the_cut():
    log, cut_s = demo.from_tables(*tables(), text_encoder("lsa"))
    assert log.user_ids == ("1",)
    assert log.rows.product_ids == ("7",)
    assert len(log.rows.before(cut_s)) == 12
    assert len(log.rows) == 13
    assert cut_s == log.rows.end_time_s - 28 * 86_400
    assert log.content.categories.leaves == ("DAIRY > MILK",)
    assert log.content.brand_names[log.content.brands[0]] == "private"
    assert log.content.prices.tolist() == [2.0]


def test_the_demo_says_which_table_is_missing(tmp_path):
    with pytest.raises(BadData, match=r"transactions\.parquet"):
        demo.load(tmp_path, None)


def write(path, **columns):
    table = pd.DataFrame(columns)
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path)
    return path


@pytest.mark.parametrize("name", ["log.csv", "log.parquet"])
def test_a_table_of_either_format_is_read_alike(tmp_path, name):
    path = write(
        tmp_path / name,
        user=["b", "a", "a"],
        product=[20, 10, 20],
        time=[30, 10, 10],
        event_type=["purchase", "click", "purchase"],
    )
    log = frame.load(path)
    assert log.user_ids == ("a", "b")
    assert log.rows.product_ids == ("10", "20")
    assert log.rows.users.tolist() == [0, 0, 1]
    assert log.rows.times_s.tolist() == [10, 10, 30]
    assert sorted(log.rows.kinds.tolist()) == [EventKind.CLICK, EventKind.PURCHASE, EventKind.PURCHASE]
    assert log.rows.events[0] == log.rows.events[1] != log.rows.events[2]


def test_timestamps_are_seconds_since_1970(tmp_path):
    path = write(tmp_path / "log.parquet", user=["a"], product=["p"], time=pd.to_datetime(["1970-01-02T00:00:01.5"]))
    assert frame.load(path).rows.times_s.tolist() == [86_401]


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ({"user": ["a"], "time": [1]}, "product is missing"),
        ({"user": ["a", None], "product": ["p", "p"], "time": [1, 2]}, "without missing"),
        ({"user": [], "product": [], "time": []}, "must have rows"),
        ({"user": ["a"], "product": ["p"], "time": ["soon"]}, "time must be"),
        (
            {"user": ["a"], "product": ["p"], "time": [1], "event_type": ["bought"]},
            "'bought' must be one of product_view",
        ),
    ],
)
def test_a_wrong_table_is_refused_by_column_and_rule(tmp_path, columns, rule):
    with pytest.raises(BadData, match=rule):
        frame.load(write(tmp_path / "log.parquet", **columns))


def test_other_files_are_refused(tmp_path):
    for name in ("log.txt", "none.csv"):
        with pytest.raises(BadData, match="must be an existing"):
            frame.load(tmp_path / name)


def test_counted_text_vectors_are_unit_vectors_and_tell_words_apart():
    vectors = lsa_vectors(["red wine", "red wine bottle", "blue cheese", ""])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1, 0], abs=1e-4)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_unknown_text_encoders_are_refused():
    assert text_encoder("none") is None
    with pytest.raises(BadChoice, match="none, lsa, minilm"):
        text_encoder("bert")
