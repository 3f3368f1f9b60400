"""What a killed Milvus Lite may leave."""

from pathlib import Path

from services.supervisor.adapters.milvus import remove_unfinished


def test_only_folders_without_a_schema_go(tmp_path: Path) -> None:
    whole, half = tmp_path / "collections" / "whole", tmp_path / "collections" / "half"
    for folder in (whole, half):
        folder.mkdir(parents=True)
        (folder / "data").write_text("x")
    (whole / "schema.json").write_text("{}")
    remove_unfinished(tmp_path)
    assert (whole.exists(), half.exists()) == (True, False)
    remove_unfinished(tmp_path / "nothing")
