"""Writing the model repository: from the packaged model, and from any small one."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from services.encoder.modelrepo.errors import UnsupportedModel
from services.encoder.modelrepo.manifest import (
    GRAPH_FILE,
    MODEL_NAME,
    VERSION_FOLDER,
    ModelManifest,
    Pooling,
    Variant,
    variant_folder,
)
from services.encoder.modelrepo.onnx_session import OnnxEncoder
from services.encoder.modelrepo.triton_files import Serving
from services.encoder.modelrepo.writer import RepositoryOptions, write_repository

WORDS = 300


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with random weights, pooled by its first token, in the layout of sentence-transformers."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("small") / "small-bert"
    torch.manual_seed(11)
    config = BertConfig(
        vocab_size=WORDS,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({f"w{number}": number for number in range(WORDS)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_padding(length=32, pad_token="w0")
    tokenizer.save(str(folder / "tokenizer.json"))
    kinds = ("Transformer", "Pooling")
    rows = [{"path": f"{at}_{kind}" if at else "", "type": f"x.{kind}"} for at, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(rows))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    return folder


class Written:
    """A repository of the small model."""

    def __init__(self, place: Path, source: Path) -> None:
        self.place, self.source = place, source
        self.lines: list[str] = []

    def write(self, variant: Variant = Variant.INT8, serving: Serving | None = None) -> ModelManifest:
        self.lines.clear()
        options = RepositoryOptions(model=str(self.source), variant=variant, serving=serving or Serving())
        return write_repository(self.place, options, self.lines.append)

    @property
    def exported(self) -> bool:
        return any("exporting" in line for line in self.lines)

    def inode(self, *parts: str) -> int:
        return (self.place / MODEL_NAME).joinpath(*parts).stat().st_ino


@pytest.fixture
def written(tmp_path: Path, small_model: Path) -> Written:
    made = Written(tmp_path / "repository", small_model)
    made.write()
    return made


def test_any_sentence_encoder_is_exported(written: Written) -> None:
    manifest = ModelManifest.read(written.place / MODEL_NAME)
    assert (manifest.dimension, manifest.max_tokens, manifest.pooling) == (48, 64, Pooling.CLS)
    assert manifest.release_id.startswith("small_bert_int8_")
    tokenizer = Tokenizer.from_file(str(written.place / MODEL_NAME / "tokenizer.json"))
    assert tokenizer.encode("w5 w6").ids == [5, 6], "padding or truncation was kept"


def test_a_second_run_changes_nothing(written: Written) -> None:
    before = written.inode(), written.inode("config.pbtxt"), written.inode(VERSION_FOLDER, GRAPH_FILE)
    written.write()
    assert not written.exported
    assert before == (written.inode(), written.inode("config.pbtxt"), written.inode(VERSION_FOLDER, GRAPH_FILE))


def test_the_variant_is_changed_without_another_export(written: Written) -> None:
    small = ModelManifest.read(written.place / MODEL_NAME)
    large = written.write(Variant.FP32)
    assert not written.exported
    assert large.release_id != small.release_id
    graph = written.place / MODEL_NAME / VERSION_FOLDER / GRAPH_FILE
    assert graph.stat().st_size == large.graph_bytes > small.graph_bytes
    assert written.write(Variant.INT8) == small
    assert sorted(path.name for path in written.place.iterdir()) == [".lock", MODEL_NAME]


def test_a_setting_rewrites_only_the_configuration(written: Written) -> None:
    graph = written.inode(VERSION_FOLDER, GRAPH_FILE)
    written.write(serving=Serving(instances=3))
    assert not written.exported
    assert "count: 3" in (written.place / MODEL_NAME / "config.pbtxt").read_text()
    assert written.inode(VERSION_FOLDER, GRAPH_FILE) == graph


def test_damage_is_repaired(written: Written) -> None:
    before = ModelManifest.read(written.place / MODEL_NAME)
    (variant_folder(written.place / MODEL_NAME, Variant.FP32) / GRAPH_FILE).write_bytes(b"")
    after = written.write()
    assert written.exported
    assert after.release_id == before.release_id


def test_bits_that_changed_in_the_served_graph_are_repaired_without_an_export(written: Written) -> None:
    before = ModelManifest.read(written.place / MODEL_NAME)
    graph = written.place / MODEL_NAME / VERSION_FOLDER / GRAPH_FILE
    whole = graph.read_bytes()
    graph.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    assert written.write() == before
    assert not written.exported
    assert graph.read_bytes() == whole


def test_bits_that_changed_in_the_wanted_variant_are_exported_again(written: Written) -> None:
    graph = variant_folder(written.place / MODEL_NAME, Variant.INT8) / GRAPH_FILE
    content = bytearray(graph.read_bytes())
    content[5000] ^= 1
    graph.write_bytes(content)
    written.write()
    assert written.exported


def test_what_a_killed_run_left_is_removed_and_other_models_stay(written: Written) -> None:
    (written.place / ".writing-dead" / "new").mkdir(parents=True)
    (written.place / "ranker").mkdir()
    written.write()
    assert sorted(path.name for path in written.place.iterdir()) == [".lock", "ranker", MODEL_NAME]


def test_a_touched_source_is_compared_by_content(written: Written, small_model: Path) -> None:
    (small_model / "config.json").touch()
    written.write()
    assert not written.exported


def test_a_changed_source_is_exported_again(written: Written, small_model: Path) -> None:
    config = small_model / "sentence_bert_config.json"
    before = ModelManifest.read(written.place / MODEL_NAME)
    config.write_text('{"max_seq_length": 40}')
    try:
        after = written.write()
    finally:
        config.unlink()
    assert written.exported
    assert (after.max_tokens, before.max_tokens) == (40, 64)
    assert after.release_id != before.release_id


def test_a_missing_model_leaves_the_old_one(written: Written) -> None:
    before = ModelManifest.read(written.place / MODEL_NAME)
    with pytest.raises(UnsupportedModel):
        write_repository(written.place, RepositoryOptions(model=str(written.place)), written.lines.append)
    assert ModelManifest.read(written.place / MODEL_NAME) == before


@pytest.mark.parametrize(("variant", "tolerance"), [(Variant.FP32, 1e-4), (Variant.INT8, 1e-5)])
def test_padding_does_not_change_vectors_of_the_packaged_model(
    model_repository: Path, variant: Variant, tolerance: float
) -> None:
    graph = OnnxEncoder(variant_folder(model_repository / MODEL_NAME, variant) / GRAPH_FILE)
    ids = np.random.default_rng(4).integers(1000, 30_000, (1, 9))
    alone = graph.vectors(ids, np.ones_like(ids))
    for length in (10, 64, 256):
        padded, mask = np.zeros((3, length), np.int64), np.zeros((3, length), np.int64)
        padded[:, :9], mask[:, :9] = ids, 1
        padded[1] = np.random.default_rng(length).integers(1000, 30_000, length)
        mask[1] = 1
        np.testing.assert_allclose(graph.vectors(padded, mask)[[0, 2]], alone.repeat(2, 0), atol=tolerance)


def test_the_packaged_model_agrees_with_transformers(model_repository: Path, tmp_path: Path) -> None:
    """The command that compares, on few texts."""
    target = tmp_path / "figures.json"
    command = [sys.executable, "-m", "services.encoder.modelrepo", "compare", "--repository", str(model_repository)]
    subprocess.run(
        [*command, "--count", "100", "--json", str(target)],
        check=True,
        cwd=Path(__file__).parents[3],
        timeout=300,
    )
    figures = json.loads(target.read_text())["models"]
    assert figures["fp32"]["agreement"]["cosine_min"] > 0.99999
    assert figures["int8"]["agreement"]["cosine_min"] > 0.98
    assert figures["int8"]["agreement"]["recall_at_10"] > 0.85
    assert figures["int8"]["megabytes"] < figures["fp32"]["megabytes"] / 3
