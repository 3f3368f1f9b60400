from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.trainer.datasets.amounts import amounts_of
from services.trainer.datasets.card import DataCard, Provenance
from services.trainer.datasets.content import CatalogRow, item_content
from services.trainer.datasets.errors import DataSetDamaged
from services.trainer.datasets.impressions import ImpressionConfig, join_outcomes
from services.trainer.datasets.store import DataSet, read_card, read_data_set, write_data_set
from services.trainer.learning.interactions import EventKind
from tests.fakes.trainer.event_rows import NOW_S, Row, log_of, request

ABOUT = Provenance(
    source="tests",
    filters=("purchases of the last year",),
    pseudonymisation="HMAC-SHA256",
    code_version="1",
    create_time_s=NOW_S,
)


def quiet(step: str, done: int, total: int) -> None: ...


def data_set(*, bare: bool = False) -> DataSet:
    log = log_of(
        [
            Row("u", "ä", EventKind.IMPRESSION, NOW_S, 0, request="q", position=0),
            Row("u", "b", EventKind.IMPRESSION, NOW_S, 0, request="q", position=1),
            Row("u", "b", EventKind.CLICK, NOW_S + 1, 1, request="q", position=1),
            Row("v", "c", EventKind.PURCHASE, NOW_S + 2, 2, price=5),
        ],
        [request("q")],
    )
    if bare:
        return DataSet(user_keys=log.user_keys, interactions=log.interactions())
    rows = {"b": CatalogRow(category_path=("Food", "Milk"), brand="Farm", price=1.5, publish_time_s=9)}
    vectors = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    return DataSet(
        user_keys=log.user_keys,
        interactions=log.interactions(amounts_of(log, np.zeros(3, np.float32))),
        impressions=join_outcomes(log, ImpressionConfig()),
        content=item_content(log.product_ids, rows, vectors),
    )


def assert_same(one: object, two: object) -> None:
    """Equal by value and type, to the last field."""
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)
    elif hasattr(one, "__dataclass_fields__"):
        for name in one.__dataclass_fields__:
            assert_same(getattr(one, name), getattr(two, name))
    else:
        assert one == two


@pytest.mark.parametrize("bare", [False, True])
def test_what_was_written_is_read(tmp_path: Path, bare: bool) -> None:
    steps: list[tuple[str, int, int]] = []
    data = data_set(bare=bare)
    written = write_data_set(tmp_path / "sets" / "one", data, ABOUT, lambda *step: steps.append(step))
    found, card = read_data_set(tmp_path / "sets" / "one", quiet)
    assert_same(found, data)
    assert card == written == read_card(tmp_path / "sets" / "one")
    assert card.rows_by_kind == {"CLICK": 1, "PURCHASE": 1}
    assert (card.user_count, card.product_count) == (2, 3)
    assert (card.impression_count, card.request_count, card.text_dimension) == ((0, 0, 0) if bare else (2, 1, 4))
    assert (card.start_time_s, card.end_time_s) == (NOW_S + 1, NOW_S + 2)
    assert steps[-1][1] == steps[-1][2]
    assert [path.name for path in (tmp_path / "sets").iterdir()] == ["one"], "no draft is left"


def test_equal_data_have_the_same_hash(tmp_path: Path) -> None:
    one = write_data_set(tmp_path / "one", data_set(), ABOUT, quiet)
    two = write_data_set(tmp_path / "two", data_set(), replace(ABOUT, create_time_s=1), quiet)
    other = write_data_set(tmp_path / "bare", data_set(bare=True), ABOUT, quiet)
    assert one.sha256 == two.sha256 != other.sha256


@pytest.mark.parametrize(
    "name",
    ["users", "products", "interactions", "impressions", "names.json", "text_vectors.npy", "data_card.json"],
)
def test_a_changed_or_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "one"
    write_data_set(folder, data_set(), ABOUT, quiet)
    path = folder / (name if "." in name else f"{name}.parquet")
    raw = bytearray(path.read_bytes())
    damaged = 0
    for place in range(0, len(raw), max(1, len(raw) // 25)):
        changed = bytearray(raw)
        changed[place] ^= 0x15
        path.write_bytes(changed)
        try:
            found, _ = read_data_set(folder, quiet)
        except DataSetDamaged as error:
            assert str(path) in str(error)
            damaged += 1
        else:
            assert_same(found, data_set())  # the byte was one that no value depends on
    assert damaged
    path.unlink()
    with pytest.raises(DataSetDamaged, match=path.name):
        read_data_set(folder, quiet)


def test_a_changed_value_is_found_in_a_sound_file(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    write_data_set(folder, data_set(), ABOUT, quiet)
    other = write_data_set(tmp_path / "other", data_set(bare=True), ABOUT, quiet)
    (tmp_path / "other" / "products.parquet").rename(folder / "products.parquet")
    with pytest.raises(DataSetDamaged, match=f"has the sha256 {other.digests['products']}, but its card says"):
        read_data_set(folder, quiet)


def test_a_card_with_other_counts_is_refused(tmp_path: Path) -> None:
    card = write_data_set(tmp_path / "one", data_set(), ABOUT, quiet)
    (tmp_path / "one" / "data_card.json").write_text(replace(card, impression_count=3).to_json())
    with pytest.raises(DataSetDamaged, match="does not describe the data"):
        read_data_set(tmp_path / "one", quiet)


def test_a_card_without_the_digest_of_a_part_is_refused(tmp_path: Path) -> None:
    card = write_data_set(tmp_path / "one", data_set(), ABOUT, quiet)
    digests = {name: value for name, value in card.digests.items() if name != "users"}
    (tmp_path / "one" / "data_card.json").write_text(replace(card, digests=digests).to_json())
    with pytest.raises(DataSetDamaged, match="has no digest of users"):
        read_data_set(tmp_path / "one", quiet)


def test_nothing_is_overwritten_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    write_data_set(tmp_path / "one", data_set(), ABOUT, quiet)
    with pytest.raises(FileExistsError, match="never overwritten"):
        write_data_set(tmp_path / "one", data_set(), ABOUT, quiet)

    def failing(step: str, done: int, total: int) -> None:
        if done:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_data_set(tmp_path / "two", data_set(), ABOUT, failing)
    with pytest.raises(ValueError, match="user_keys has 1 keys"):
        write_data_set(tmp_path / "two", replace(data_set(), user_keys=(b"u",)), ABOUT, quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.pop("user_count"), "lacks user_count"),
        (lambda card: card.update(more=1), "unknown fields more"),
        (lambda card: card.update(format=2), "has the format 2; this version reads 1"),
        (lambda card: card["provenance"].pop("source"), "provenance lacks source"),
        (lambda card: card["digests"].update(users="0"), "which its digests don't give"),
        (lambda card: card.update(digests=[]), "digests is no object"),
    ],
)
def test_a_card_of_another_shape_is_refused(tmp_path: Path, change: object, message: str) -> None:
    value = json.loads(write_data_set(tmp_path / "one", data_set(), ABOUT, quiet).to_json())
    change(value)  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        DataCard.from_json(json.dumps(value))
