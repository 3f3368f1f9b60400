"""What the trainer and its job hand each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.trainer.domain import Gate, Metric, TrainingKind
from services.trainer.job.files import CHUNK_BYTES, Order, Result, read_artifacts, write_parts


def test_orders_and_results_come_back_as_they_were(tmp_path: Path) -> None:
    order = Order(kind=TrainingKind.INCREMENTAL, neighbours=7, least_purchases=2, behaviour_seconds=1.5, threads=2)
    order.write(tmp_path)
    assert Order.read(tmp_path) == order
    metric = Metric("ndcg@10", "all", "release", 0.4, 0.3, 0.5, 9)
    result = Result(
        data_end_time_s=5,
        purchase_count=4,
        user_count=3,
        product_count=2,
        pair_count=1,
        metrics=(metric,),
        gate=Gate(True, ("better",)),
    )
    with pytest.raises(FileNotFoundError):
        Result.read(tmp_path)
    result.write(tmp_path)
    assert Result.read(tmp_path) == result


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_messages_stay_apart(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("parts")
    write_parts(folder, "neighbours", parts)
    assert read_artifacts(folder) == {"neighbours": parts}


def test_other_artifacts_are_cut_into_chunks(tmp_path: Path) -> None:
    content = bytes(range(256)) * (CHUNK_BYTES // 256) + b"rest"
    (tmp_path / "ranker.onnx").write_bytes(content)
    (tmp_path / "empty.json").write_bytes(b"")
    found = read_artifacts(tmp_path)
    assert [len(part) for part in found["ranker.onnx"]] == [CHUNK_BYTES, 4]
    assert b"".join(found["ranker.onnx"]) == content
    assert found["empty.json"] == [b""]
