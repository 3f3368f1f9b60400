"""``model.json``."""

import json
from pathlib import Path

import pytest

from services.encoder.adapters.repository import read_model
from services.encoder.errors import ModelRepositoryMissing
from services.encoder.modelrepo.manifest import ModelManifest
from tests.unit.encoder.modelrepo.test_triton_files import MANIFEST


def test_what_is_written_is_read(tmp_path: Path) -> None:
    MANIFEST.write(tmp_path)
    assert ModelManifest.read(tmp_path) == MANIFEST
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]


@pytest.mark.parametrize("text", ["", "{}", '{"variant": "int4"}', "[1]"])
def test_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ValueError):
        ModelManifest.read(tmp_path)


def test_a_field_of_another_version_is_refused(tmp_path: Path) -> None:
    MANIFEST.write(tmp_path)
    values = json.loads((tmp_path / "model.json").read_text()) | {"unheard_of": 1}
    (tmp_path / "model.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match="unheard_of"):
        ModelManifest.read(tmp_path)


def test_the_service_says_how_to_write_a_missing_repository(tmp_path: Path) -> None:
    with pytest.raises(ModelRepositoryMissing, match=r"services\.encoder\.modelrepo"):
        read_model(tmp_path)


def test_the_service_wants_the_tokenizer_too(tmp_path: Path) -> None:
    (tmp_path / "text_encoder").mkdir()
    MANIFEST.write(tmp_path / "text_encoder")
    with pytest.raises(ModelRepositoryMissing, match=r"tokenizer\.json"):
        read_model(tmp_path)
