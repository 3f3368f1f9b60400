"""What is understood of a model's folder, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.encoder.modelrepo.errors import UnsupportedModel
from services.encoder.modelrepo.manifest import Pooling
from services.encoder.modelrepo.source import EncoderSource, resolve

ST = "sentence_transformers.models."


def write(folder: Path, name: str, value: Any) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(value))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "My Model-v2"
    place.mkdir()
    (place / "model.safetensors").write_bytes(b"weights")
    write(place, "config.json", {"model_type": "bert", "max_position_embeddings": 512, "pad_token_id": 0})
    write(place, "sentence_bert_config.json", {"max_seq_length": 256})
    return place


def modules(folder: Path, *kinds: str, pooling: dict[str, Any] | None = None) -> None:
    rows = [{"idx": at, "path": f"{at}_{kind}" if at else "", "type": ST + kind} for at, kind in enumerate(kinds)]
    write(folder, "modules.json", rows)
    if pooling is not None:
        write(folder, "1_Pooling/config.json", pooling)


def test_a_folder_without_modules_is_pooled_by_the_mean(folder: Path) -> None:
    source = resolve(str(folder))
    assert (source.pooling, source.max_tokens, source.pad_id) == (Pooling.MEAN, 256, 0)
    assert source.slug == "my_model_v2"


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, Pooling.MEAN),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, Pooling.CLS),
        ({"pooling_mode": "cls"}, Pooling.CLS),
    ],
)
def test_pooling_is_read(folder: Path, config: dict[str, Any], pooling: Pooling) -> None:
    modules(folder, "Transformer", "Pooling", "Normalize", pooling=config)
    assert resolve(str(folder)).pooling is pooling


@pytest.mark.parametrize(
    "config",
    [
        {"pooling_mode_max_tokens": True},
        {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True},
        {"pooling_mode": "lasttoken"},
        {},
    ],
)
def test_other_pooling_is_refused(folder: Path, config: dict[str, Any]) -> None:
    modules(folder, "Transformer", "Pooling", pooling=config)
    with pytest.raises(UnsupportedModel, match="pooling"):
        resolve(str(folder))


def test_other_modules_are_refused_by_name(folder: Path) -> None:
    modules(folder, "Transformer", "Pooling", "Dense", pooling={"pooling_mode": "mean"})
    with pytest.raises(UnsupportedModel, match="Dense"):
        resolve(str(folder))


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UnsupportedModel, match="safetensors"):
        resolve(str(folder))


def test_a_broken_configuration_is_named(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(UnsupportedModel, match=r"config\.json"):
        resolve(str(folder))


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({"sentence_bert_config.json": {"max_seq_length": 10_000}}, 512),
        ({"sentence_bert_config.json": {}, "tokenizer_config.json": {"model_max_length": 10**30}}, 512),
        ({"sentence_bert_config.json": {}, "tokenizer_config.json": {"model_max_length": 128}}, 128),
        (
            {
                "sentence_bert_config.json": {},
                "config.json": {"model_type": "xlm-roberta", "max_position_embeddings": 130, "pad_token_id": 1},
            },
            128,
        ),
    ],
)
def test_the_limit_of_tokens(folder: Path, changes: dict[str, Any], limit: int) -> None:
    for name, value in changes.items():
        write(folder, name, value)
    assert resolve(str(folder)).max_tokens == limit


def test_the_digest_follows_whatever_decides_about_a_vector(folder: Path) -> None:
    def digest() -> str:
        return EncoderSource.from_folder(folder, source="x", name="x").sha256()

    seen = {digest()}
    (folder / "model.safetensors").write_bytes(b"Weights")
    seen.add(digest())
    write(folder, "tokenizer.json", {"version": "1.0"})
    seen.add(digest())
    modules(folder, "Transformer", "Pooling", pooling={"pooling_mode": "cls"})
    seen.add(digest())
    (folder / "README.md").write_text("not part of the model")
    seen.add(digest())
    assert len(seen) == 4
